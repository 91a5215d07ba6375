// SDXL's refiner: a second pipeline that goes on from the latents of the first (test/fixtures/latent/refiner).
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readJson } from '../../lib/files/files.js';
import { NoiseSchedule, TextToImage, type GenerateOptions, type TextToImageLoadOptions } from '../../lib/index.js';
import { expectRun, latentsOf, optionsOf, type GoldenRun } from '../support/golden-runs.js';
import { difference, latentFixtures } from '../support/latent-goldens.js';
import { temporaryFolder } from '../support/temporary.js';
import { readTensors } from '../support/tensors.js';

const folder = join(latentFixtures, 'refiner');
const base = join(latentFixtures, 'sdxl');
/** What the refiner has of the base. */
const shared: TextToImageLoadOptions = {
  textEncoder: join(base, 'text_encoder_2'),
  tokenizer: join(base, 'tokenizer_2'),
  vae: join(base, 'vae'),
};
const sides = { height: 24, width: 16 };
const scored = (score: number): number[] => [24, 16, 0, 0, score];

interface HandOver extends Pick<GoldenRun, 'scheduler' | 'sensitivity'> {
  base: GoldenRun;
  refiner: GoldenRun & { options: { aesthetic_score: number; negative_aesthetic_score: number } };
}

async function handOver(device: string) {
  const run = (await readJson(join(folder, 'hand-over.json'))) as HandOver;
  const expected = await readTensors(join(folder, 'hand-over.safetensors'));
  const schedule = NoiseSchedule.fromSchedulerConfig(run.scheduler);
  const { aesthetic_score: score, negative_aesthetic_score: away } = run.refiner.options;
  return {
    run,
    expected,
    schedule,
    first: () => TextToImage.load(base, { device, schedule }),
    second: () => TextToImage.load(join(latentFixtures, 'sdxl-refiner'), { device, schedule, ...shared }),
    begun: { ...optionsOf(run.base), init: expected.latents!, output: 'latents', denoisingEnd: 0.7 } as const,
    rest: {
      ...optionsOf(run.refiner),
      ...sides,
      sizes: scored(score),
      negativeSizes: scored(away),
      denoisingStart: 0.7,
    } satisfies GenerateOptions,
  };
}

describe.each(['cpu', 'reference'])('a refiner on %s', (device) => {
  it('draws of a picture what the library draws', async () => {
    const golden = { model: 'sdxl-refiner', folder, name: 'img2img' };
    await expectRun(golden, { device, ...shared }, async (pipeline, expected) => {
      const image = await latentsOf(pipeline, expected.image!, expected.posterior_noise!, sides);
      const scores = { sizes: scored(6.5), negativeSizes: scored(2) };
      return { ...sides, ...scores, image, init: expected.start_noise! };
    });
  });

  it('goes on where the base has left off, as in the library', async () => {
    const { run, expected, schedule, begun, rest, first, second } = await handOver(device);
    const done: string[] = [];
    const counted = (who: string) => (each: number, all: number) => done.push(`${who} ${each} of ${all}`);
    await using pipeline = await first();
    const { latents } = await pipeline.generate({ ...begun, onProgress: counted('base') });
    // The library's states are divided by the amplitude of the picture: at the level of time 201, the first of the refiner's.
    const alpha = Math.sqrt(schedule.alphaBar(202));
    const states = expected['base.states']!.subarray(-latents.length);
    expect(
      difference(
        latents.map((value) => value / alpha),
        states,
      ),
    ).toBeLessThan(2e-4);
    await using refiner = await second();
    const drawn = await refiner.generate({ ...rest, image: latents, onProgress: counted('refiner') });
    expect([done.at(0), done.at(-1)]).toEqual(['base 2 of 14', 'refiner 6 of 6']);
    expect(difference(refiner.vae.fromDiffusion(drawn.latents), expected.decoder_input!)).toBeLessThan(2e-4);
    const limit = Math.max(2e-4, 50 * run.sensitivity.images);
    expect(difference(drawn.images!.data, expected.images!)).toBeLessThan(limit);
  });
});

describe('latents that are handed over', () => {
  const name = 'cpu';

  it('within one pipeline are the whole run, wherever it is cut', async () => {
    const { expected, begun, first } = await handOver(name);
    await using pipeline = await first();
    for (const sampler of ['scheduler', 'ddim', 'dpm-solver-1'] as const) {
      const own = { ...begun, sampler, denoisingEnd: undefined };
      const whole = await pipeline.generate(own);
      for (const share of [0.15, 0.5, 0.95]) {
        const { latents: image } = await pipeline.generate({ ...own, denoisingEnd: share });
        const { latents } = await pipeline.generate({
          ...own,
          ...sides,
          image,
          denoisingStart: share,
          init: undefined,
        });
        expect(difference(latents, whole.latents), `${sampler} ${share}`).toBeLessThan(1e-6);
        expect(image).not.toEqual(whole.latents);
      }
      const all = await pipeline.generate({ ...own, denoisingEnd: 1 });
      expect(all.latents).toEqual(whole.latents);
    }
    expect(expected.latents!.length).toBe(begun.init.length);
  });

  it('get noise that the run before has not had', async () => {
    const { begun, first } = await handOver(name);
    await using pipeline = await first();
    const own = { ...begun, sampler: 'ddpm', seed: 5 } as const;
    const { latents: image } = await pipeline.generate({ ...own, denoisingEnd: 0.5 });
    const rest = { ...own, ...sides, image, denoisingStart: 0.5, denoisingEnd: undefined, init: undefined };
    const half = await pipeline.generate(rest);
    expect((await pipeline.generate(rest)).latents).toEqual(half.latents);
    expect((await pipeline.generate({ ...rest, seed: 6 })).latents).not.toEqual(half.latents);
  });

  it('are yielded by streams, too', async () => {
    const { begun, rest, first, second } = await handOver(name);
    await using pipeline = await first();
    const { latents: image } = await pipeline.generate(begun);
    const streamed: Float32Array[] = [];
    for await (const { latents } of pipeline.stream(begun)) streamed.push(latents);
    expect(streamed.flatMap((each) => [...each])).toEqual([...image]);
    await using refiner = await second();
    const whole = await refiner.generate({ ...rest, image, output: 'latents' });
    const ends: Float32Array[] = [];
    for await (const { latents } of refiner.stream({ ...rest, image, output: 'latents' })) ends.push(latents);
    expect(ends.flatMap((each) => [...each])).toEqual([...whole.latents]);
  });

  it('are of one image for all, or one each, and of steps on both sides of the cut', async () => {
    const { begun, rest, first, second } = await handOver(name);
    await using pipeline = await first();
    const { latents: image } = await pipeline.generate(begun);
    await using refiner = await second();
    const each = await refiner.generate({ ...rest, image, output: 'latents' });
    const half = image.length / 2;
    const one = await refiner.generate({ ...rest, image: image.subarray(half), output: 'latents' });
    expect(one.latents.subarray(half)).toEqual(each.latents.subarray(half));
    const part = { ...rest, image, output: 'latents' } as const;
    const middle = await refiner.generate({ ...part, denoisingEnd: 0.85 });
    const last = await refiner.generate({ ...part, image: middle.latents, denoisingStart: 0.85 });
    expect(difference(last.latents, each.latents)).toBeLessThan(1e-6);
  });

  it('have scores of 6 and 2.5 where nothing is said', async () => {
    const { begun, rest, first, second } = await handOver(name);
    await using pipeline = await first();
    const { latents: image } = await pipeline.generate(begun);
    await using refiner = await second();
    const draw = async (given: Partial<GenerateOptions>): Promise<Float32Array> =>
      (await refiner.generate({ ...rest, image, output: 'latents', ...given })).latents;
    const standard = await draw({ sizes: undefined, negativeSizes: undefined });
    expect(await draw({ sizes: scored(6), negativeSizes: scored(2.5) })).toEqual(standard);
    expect(await draw({ sizes: scored(6), negativeSizes: undefined })).toEqual(standard);
    expect(await draw({ sizes: scored(7), negativeSizes: undefined })).not.toEqual(standard);
    expect(await draw({ sizes: scored(6), negativeSizes: scored(3) })).not.toEqual(standard);
  });

  it.each<[Partial<GenerateOptions>, string]>([
    [{ denoisingStart: 0.7 }, 'denoisingStart is for image, which is missing'],
    [{ denoisingStart: 0.7, strength: 0.5, image: new Float32Array(384) }, 'neither strength, mask nor init'],
    [
      { denoisingStart: 0.7, mask: new Float32Array(384), image: new Float32Array(384) },
      'neither strength, mask nor init',
    ],
    [
      { denoisingStart: 0.7, init: new Float32Array(384), image: new Float32Array(384) },
      'neither strength, mask nor init',
    ],
    [{ denoisingStart: 0.7, sampler: 'kdpm2', image: new Float32Array(384) }, 'between steps of one evaluation'],
    [{ denoisingStart: 1, image: new Float32Array(384) }, 'none of the 10 steps is left behind the hand-over'],
    [{ denoisingEnd: 0.01 }, 'none of the 10 steps is left before the hand-over'],
    [{ denoisingEnd: 0.0001 }, 'at least one of 1000 times'],
    [{ denoisingEnd: 0 }, 'denoisingEnd is 0'],
    [{ denoisingEnd: 0.7, sampler: 'heun' }, 'between steps of one evaluation'],
    [{ denoisingEnd: 0.7, sampler: 'full-ddpm' }, 'chooses its own'],
    [{ sizes: [1, 2, 3], negativeSizes: [1, 2] }, 'negativeSizes has 2 numbers, sizes 3'],
    [{ guidanceRescale: 1.5 }, 'guidanceRescale is 1.5'],
  ])('refuse %j', async (given, message) => {
    const { first } = await handOver(name);
    await using pipeline = await first();
    const call = { prompt: 'a cat', steps: 10, count: 2, ...sides, output: 'latents', ...given } as const;
    await expect(pipeline.generate(call)).rejects.toThrow(message);
  });
});

it('a pipeline of a class of pictures has both encoders, unless it sees a score', async () => {
  const own = join(temporaryFolder(), 'pipeline');
  await cp(join(latentFixtures, 'sdxl-refiner'), own, { recursive: true });
  const file = join(own, 'model_index.json');
  const index = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  await writeFile(file, JSON.stringify({ ...index, requires_aesthetics_score: false }));
  await expect(TextToImage.load(own, shared)).rejects.toThrow('text_encoder');
});
