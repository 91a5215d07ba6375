// Images whose drawing pictures control: ControlNets of a pipeline, against runs of the public library (test/fixtures/latent/controlnet).
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readJson } from '../../lib/files/files.js';
import {
  ImageBatch,
  samplers,
  TextToImage,
  type ControlOptions,
  type GenerateOptions,
  type StepRecord,
} from '../../lib/index.js';
import { promptedEvaluate } from '../../lib/latents/prompted-network.js';
import { expectRun, latentsOf } from '../support/golden-runs.js';
import { difference, latentFixtures } from '../support/latent-goldens.js';
import { temporaryFolder } from '../support/temporary.js';
import { readTensors } from '../support/tensors.js';

const folder = join(latentFixtures, 'controlnet');
const base = join(latentFixtures, 'sd1');
const [first, second] = [join(folder, 'controlnet-a'), join(folder, 'controlnet-b')];
const runs = join(folder, 'golden');
const sides = { height: 32, width: 16 };
const copies = temporaryFolder();

interface ControlledRun {
  controlnets: string[];
  options: {
    controlnet_conditioning_scale: number | number[];
    control_guidance_start?: number[];
    control_guidance_end?: number[];
  };
}

describe.each(['cpu', 'reference'])('ControlNets of a pipeline on %s', (device) => {
  it.each(['one', 'two', 'shares', 'shares-pndm', 'img2img'])('draw what the library draws with %s', async (name) => {
    const { controlnets, options } = (await readJson(join(runs, `${name}.json`))) as ControlledRun;
    const { control_guidance_start: starts, control_guidance_end: ends } = options;
    const scales = [options.controlnet_conditioning_scale].flat();
    const given = { device, controlNets: controlnets.map((each) => join(folder, each)) };
    await expectRun({ model: 'sd1', folder: runs, name }, given, async (pipeline, expected) => {
      const { latents, start_noise: noise, posterior_noise: posterior, image } = expected;
      const controls = scales.map((scale, k) => {
        return { image: expected[`control_image.${k}`]!, scale, start: starts?.[k], end: ends?.[k] };
      });
      if (image === undefined) return { init: latents!, controls };
      return { ...sides, controls, init: noise!, image: await latentsOf(pipeline, image, posterior!, sides) };
    });
  });
});

describe('ControlNets of a pipeline', () => {
  const call = {
    prompt: ['a cat', 'a dog'],
    steps: 4,
    sampler: 'ddim',
    seed: 3,
    guidance: 3,
    output: 'latents',
  } as const;
  const load = (...controlNets: string[]): Promise<TextToImage> =>
    TextToImage.load(base, { device: 'cpu', controlNets });
  const pictures = async (): Promise<Float32Array> =>
    (await readTensors(join(runs, 'one.safetensors')))['control_image.0']!;
  const drawn = async (
    pipeline: TextToImage,
    controls: GenerateOptions['controls'],
    rest: Partial<GenerateOptions> = sides,
  ): Promise<Float32Array> => (await pipeline.generate({ ...call, ...rest, controls })).latents;

  it('see for each image its own picture, with whatever images are drawn at once', async () => {
    await using pipeline = await load(first);
    const image = await pictures();
    const both = await drawn(pipeline, [{ image }]);
    expect(await drawn(pipeline, [{ image }], { ...sides, batch: 1 })).toEqual(both);
    const one = await drawn(pipeline, [{ image: image.subarray(image.length / 2) }]);
    expect(one.subarray(one.length / 2)).toEqual(both.subarray(both.length / 2));
    expect(one.subarray(0, one.length / 2)).not.toEqual(both.subarray(0, both.length / 2));
  });

  it('that are left out change nothing', async () => {
    const image = await pictures();
    await using plain = await TextToImage.load(base, { device: 'cpu' });
    await using pipeline = await load(first, second);
    const without = await drawn(plain, undefined);
    expect(await drawn(pipeline, undefined)).toEqual(without);
    expect(await drawn(pipeline, [null, null])).toEqual(without);
    expect(await drawn(pipeline, [{ image, scale: 0 }, null])).toEqual(without);
    await using alone = await load(second);
    const own = await drawn(alone, [{ image }]);
    expect(own).not.toEqual(without);
    expect(await drawn(pipeline, [null, { image }])).toEqual(own);
  });

  it('are evaluated within their share of the steps', async () => {
    await using pipeline = await load(first);
    const image = await pictures();
    const begun = { ...call, ...sides };
    const halves = async (early: boolean, late: boolean): Promise<Float32Array> => {
      const controls = (is: boolean): GenerateOptions['controls'] => (is ? [{ image }] : undefined);
      const { latents } = await pipeline.generate({ ...begun, denoisingEnd: 0.5, controls: controls(early) });
      const rest = { ...begun, image: latents, denoisingStart: 0.5, controls: controls(late) };
      return (await pipeline.generate(rest)).latents;
    };
    const part = (share: Partial<ControlOptions>): Promise<Float32Array> => drawn(pipeline, [{ image, ...share }]);
    const [early, late] = [await halves(true, false), await halves(false, true)];
    expect(difference(early, late)).toBeGreaterThan(1e-2);
    // Steps of four begin at 0, 0.25, 0.5 and 0.75: one that lies in part outside of the share is none.
    for (const end of [0.5, 0.74]) expect(difference(await part({ end }), early)).toBeLessThan(1e-5);
    for (const start of [0.26, 0.5]) expect(difference(await part({ start }), late)).toBeLessThan(1e-5);
    expect(difference(await part({ start: 0.51 }), late)).toBeGreaterThan(1e-3);
    expect(difference(await part({ end: 0.75 }), early)).toBeGreaterThan(1e-3);
    // Shares are those of the whole run, also where another pipeline goes on.
    const begin = async (end?: number): Promise<Float32Array> => {
      const cut = { ...begun, denoisingEnd: 0.5, controls: [{ image, end }] };
      return (await pipeline.generate(cut)).latents;
    };
    expect(await begin(0.5)).toEqual(await begin());
    expect(await begin(0.25)).not.toEqual(await begin());
    const program = samplers.ddim(pipeline.schedule, { steps: 4, clip: 'none' });
    const { prompt, seed, guidance, output } = call;
    const given = { ...sides, prompt, seed, guidance, output, controls: [{ image, end: 0.5 }] };
    expect((await pipeline.run(program, given)).latents).toEqual(await part({ end: 0.5 }));
  });

  it('are evaluated for each row by its own time', async () => {
    await using pipeline = await load(first);
    const { unet } = pipeline;
    const image = (await pictures()).subarray(0, 3 * 32 * 16);
    const picture = await unet.prepareControl(0, image, sides);
    const context = await unet.prepare((await pipeline.encodePrompt('a cat')).hidden, 1);
    const sees = { sizes: [], negativeSizes: [], guidanceRescale: 0 };
    const sample = { positive: { context, pooled: null }, negative: null, guidance: 1, ...sees };
    const active = new Map([
      [900, [true]],
      [100, [false]],
    ]);
    const evaluate = promptedEvaluate(unet, {
      ...{ height: 8, width: 4 },
      sampleOf: (label) => [sample, sample][label],
      controls: [{ use: { picture, scale: 1 }, active }],
    });
    const x = Float32Array.from({ length: 2 * 4 * 8 * 4 }, (_, i) => Math.sin(i));
    const { out } = await evaluate(x, Float32Array.of(900, 100), [0, 1]);
    const own = { height: 8, width: 4, context };
    const alone = await Promise.all([
      unet.forward(x.subarray(0, x.length / 2), 900, { ...own, controls: [{ picture }] }),
      unet.forward(x.subarray(x.length / 2), 100, own),
    ]);
    expect(out).toEqual(Float32Array.from(alone.flatMap((each) => [...each])));
  });

  it('take grey levels as colours, and their sides as those of the images', async () => {
    await using pipeline = await load(first);
    const levels = Float32Array.from({ length: 32 * 16 }, (_, i) => (i % 7) / 6);
    const grey = new ImageBatch(levels, [1, 1, 32, 16], [0, 1]);
    const colours = Float32Array.from([...levels, ...levels, ...levels]);
    const expected = await drawn(pipeline, [{ image: colours }]);
    expect(await drawn(pipeline, [{ image: grey }], {})).toEqual(expected);
    const centred = new ImageBatch(
      colours.map((value) => 2 * value - 1),
      [1, 3, 32, 16],
      [-1, 1],
    );
    expect(difference(await drawn(pipeline, [{ image: centred }], {}), expected)).toBeLessThan(1e-4);
  });

  it('go along with pictures to begin with, masks and pictures brought back to noise', async () => {
    await using pipeline = await load(first);
    const image = await pictures();
    const picture = new ImageBatch(
      image.map((value) => 1 - value),
      [2, 3, 32, 16],
      [0, 1],
    );
    const mask = new ImageBatch(
      Float32Array.from({ length: 512 }, (_, i) => (i < 256 ? 1 : 0)),
      [1, 1, 32, 16],
      [0, 1],
    );
    for (const rest of [
      { image: picture, strength: 0.5 },
      { image: picture, mask },
    ]) {
      const controlled = await drawn(pipeline, [{ image }], rest);
      expect(difference(controlled, await drawn(pipeline, undefined, rest))).toBeGreaterThan(1e-3);
    }
  });

  it('take part where a picture is brought back to its noise', async () => {
    await using pipeline = await load(first);
    const both = await pictures();
    const image = both.subarray(0, both.length / 2);
    const latents = Float32Array.from({ length: 4 * 8 * 4 }, (_, i) => Math.sin(i));
    const inverted = { prompt: 'a cat', steps: 1, iterations: 1, image: latents, ...sides };
    const noises = [{ controls: [{ image }] }, {}].map((more) => pipeline.invert({ ...inverted, ...more }));
    const [controlled, plain] = (await Promise.all(noises)).map(({ noise }) => noise);
    // One step of one evaluation is linear in what the network gives.
    const { hidden } = await pipeline.encodePrompt('a cat');
    const picture = await pipeline.unet.prepareControl(0, image, sides);
    const [{ time }] = samplers.ddim(pipeline.schedule, { steps: 1, clip: 'none' }).records as [StepRecord];
    const given = { height: 8, width: 4, context: hidden };
    const outs = [{ controls: [{ picture }] }, {}].map((more) =>
      pipeline.unet.forward(latents, time, { ...given, ...more }),
    );
    const [withControl, without] = await Promise.all(outs);
    const moved = controlled!.map((value, i) => value - plain![i]!);
    const predicted = withControl!.map((value, i) => value - without![i]!);
    const factor = moved[0]! / predicted[0]!;
    expect(Math.abs(factor)).toBeGreaterThan(0.1);
    expect(
      difference(
        predicted.map((value) => value * factor),
        moved,
      ),
    ).toBeLessThan(1e-3);
  });

  it("are those of the pipeline's folder, unless others are given", async () => {
    const image = await pictures();
    const copy = join(copies, 'pipeline');
    await cp(base, copy, { recursive: true });
    const indexFile = join(copy, 'model_index.json');
    const index = JSON.parse(await readFile(indexFile, 'utf8')) as Record<string, unknown>;
    const says = (_class_name: string, controlnet: unknown): Promise<void> =>
      writeFile(indexFile, JSON.stringify({ ...index, _class_name, controlnet }));
    await cp(first, join(copy, 'controlnet'), { recursive: true });
    await says('StableDiffusionControlNetPipeline', ['diffusers', 'ControlNetModel']);
    await using given = await load(first, second);
    await using one = await TextToImage.load(copy, { device: 'cpu' });
    expect(one.unet.controlNets.length).toBe(1);
    expect(await drawn(one, [{ image }])).toEqual(await drawn(given, [{ image }, null]));
    await cp(second, join(copy, 'controlnet_1'), { recursive: true });
    await says('StableDiffusionControlNetPipeline', ['diffusers', 'MultiControlNetModel']);
    await using two = await TextToImage.load(copy, { device: 'cpu' });
    expect(await drawn(two, [null, { image }])).toEqual(await drawn(given, [null, { image }]));
    await using none = await TextToImage.load(copy, { device: 'cpu', controlNets: [] });
    expect(none.unet.controlNets).toEqual([]);
    await says('StableDiffusionControlNetPipeline', ['diffusers', 'ControlNetUnionModel']);
    await expect(TextToImage.load(copy, { device: 'cpu' })).rejects.toThrow('controlnet');
  });

  it.each([
    ['controls has 0 entries, the pipeline 1', () => []],
    ['controls has 2 entries', (image: Float32Array) => [{ image }, null]],
    [
      'controls[0].end is 0.5, it has to be above start, 0.5',
      (image: Float32Array) => [{ image, start: 0.5, end: 0.5 }],
    ],
    ['start is -0.1', (image: Float32Array) => [{ image, start: -0.1 }]],
    ['scale is 1e+300', (image: Float32Array) => [{ image, scale: 1e300 }]],
    ['scale is NaN', (image: Float32Array) => [{ image, scale: NaN }]],
    ["controls[0] has no option 'strength'", (image: Float32Array) => [{ image, strength: 1 }]],
    ['controls[0].image has', (image: Float32Array) => [{ image: image.subarray(3) }]],
    ['controls[0].image', (image: Float32Array) => [{ image: image.map(() => Infinity) }]],
    [
      'the pictures of controls[0] are [1, 2, 32, 16]',
      () => [{ image: new ImageBatch(new Float32Array(1024), [1, 2, 32, 16], [0, 1]) }],
    ],
    ['the pictures of controls[0]', () => [{}]],
  ] as const)('refuse what they cannot use: %s', async (message, controls) => {
    await using pipeline = await load(first);
    const given = controls(await pictures()) as GenerateOptions['controls'];
    await expect(drawn(pipeline, given)).rejects.toThrow(message);
  });

  it('refuse shares of runs that choose their own times, at the call', async () => {
    await using pipeline = await load(first);
    const program = samplers['dpm-solver-adaptive'](pipeline.schedule, { clip: 'none' });
    const given = { ...sides, prompt: 'a cat', controls: [{ image: (await pictures()).subarray(0, 1536), end: 0.5 }] };
    await expect(pipeline.run(program, given)).rejects.toThrow(
      'start and end of controls are for samplers of fixed steps',
    );
  });
});
