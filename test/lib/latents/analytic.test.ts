// Analytic-DPM on latents, against moments and trajectories computed from its formulas (test/fixtures/latent/sd1/analytic).
import { cp } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { normals, sampleStreams } from '../../../lib/engine/normals.js';
import { readJson } from '../../../lib/files/files.js';
import {
  estimateLatentGamma,
  ImageBatch,
  samplers,
  TextToImage,
  writeGammaTable,
  type LatentGammaOptions,
} from '../../../lib/index.js';
import { difference, latentFixtures } from '../../support/latent-goldens.js';
import { temporaryFolder } from '../../support/temporary.js';
import { readTensors } from '../../support/tensors.js';

const folder = join(latentFixtures, 'sd1', 'analytic');
const golden = (await readJson(join(folder, 'golden.json'))) as {
  guidance: number;
  m: number[];
  prompts: string[];
  second_moment: number;
  times: number[];
  timesteps: number[];
};
const tensors = await readTensors(join(folder, 'golden.safetensors'));
const size = { height: 32, width: 16 };

/** A table whose entries at the golden times are the golden ones. */
function goldenTable() {
  const m = new Float64Array(1001);
  for (const [i, n] of golden.times.entries()) m[n] = golden.m[i]!;
  return { schedule: 'any', numTrainTimesteps: 1000, imagesPerStep: 4, m, secondMoment: golden.second_moment };
}

describe.each(['cpu', 'reference'])('on %s', (device) => {
  let pipeline: TextToImage;
  beforeAll(async () => {
    pipeline = await TextToImage.load(join(latentFixtures, 'sd1'), { device });
  });
  afterAll(() => pipeline.close());

  it.each(['ddpm', 'ddim'] as const)('runs of analytic-%s have the golden states', async (name) => {
    const { schedule } = pipeline;
    const timesteps = golden.timesteps.toReversed();
    const gamma = { ...goldenTable(), schedule: schedule.name };
    const program = samplers[`analytic-${name}`](schedule, { timesteps, gamma, clip: 'none' });
    const [start, noise] = [tensors.start!, tensors.noise!];
    const { latents } = await pipeline.run(program, {
      prompt: golden.prompts,
      guidance: golden.guidance,
      ...size,
      init: start.map((value) => value / program.initialScale),
      noise,
      output: 'latents',
    });
    const states = tensors[`states.${name}`]!;
    expect(difference(latents, states.subarray(-latents.length))).toBeLessThan(2e-4);
  });

  it('predictions of noisy latents have the golden moments', async () => {
    const { schedule, unet } = pipeline;
    const { latents, estimation_noise: noise } = tensors;
    const each = latents!.length / 4;
    const prompts = await Promise.all(golden.prompts.map((text) => pipeline.encodePrompt(text)));
    const context = Float32Array.from([0, 1, 0, 1].flatMap((k) => [...prompts[k]!.hidden]));
    for (const [i, n] of golden.times.entries()) {
      const [a, b] = [Math.sqrt(schedule.alphaBar(n)), Math.sqrt(schedule.betaBar(n))];
      const x = latents!.map((z, k) => a * z + b * noise![4 * each * i + k]!);
      const out = await unet.forward(x, schedule.networkTime(n), { ...size, height: 8, width: 4, context });
      expect(out.reduce((sum, value) => sum + value * value, 0) / out.length / golden.m[i]!).toBeCloseTo(1, 5);
    }
  });
});

const sd1 = join(latentFixtures, 'sd1');
const captions = golden.prompts;
const latents = tensors.latents!.subarray(0, 2 * 128);

describe('an estimate of moments', () => {
  let pipeline: TextToImage;
  beforeAll(async () => {
    pipeline = await TextToImage.load(sd1, { device: 'cpu', exact: true });
  });
  afterAll(() => pipeline.close());

  const estimate = (options: Partial<LatentGammaOptions> = {}, given: Float32Array | ImageBatch = latents) =>
    estimateLatentGamma(pipeline, given, { prompt: captions, timesteps: [1, 500], ...size, ...options });

  it('is of the predictions for noisy latents, each with its text', async () => {
    const table = await estimate({ samples: 1, seed: 4 });
    const { schedule, unet, device } = pipeline;
    const noise = await normals(device, [4, 8, 4], sampleStreams(1, { seed: 4, firstSample: 0, record: 500, draw: 0 }));
    const [a, b] = [Math.sqrt(schedule.alphaBar(500)), Math.sqrt(schedule.betaBar(500))];
    const found = [];
    for (const [k, caption] of captions.entries()) {
      const z = latents.subarray(128 * k, 128 * (k + 1));
      const { hidden: context } = await pipeline.encodePrompt(caption);
      const x = z.map((value, i) => a * value + b * noise[i]!);
      const out = await unet.forward(x, schedule.networkTime(500), { height: 8, width: 4, context });
      const [m, second] = [out, z].map((values) => values.reduce((sum, value) => sum + value * value, 0) / 128);
      found.push(Math.abs(table.m[500]! / m! - 1) + Math.abs(table.secondMoment! / second! - 1));
    }
    // The seed has chosen one of both.
    expect(Math.min(...found)).toBeLessThan(1e-5);
    expect(Math.max(...found)).toBeGreaterThan(1e-3);
  });

  it('is of all latents, and does not depend on how many are evaluated at once', async () => {
    const [whole, parts] = [await estimate(), await estimate({ batch: 1 })];
    expect(parts).toEqual(whole);
    expect(whole.imagesPerStep).toBe(2);
    expect(whole).not.toEqual(await estimate({ prompt: captions.toReversed() }));
    expect(await estimate({ prompt: 'a cat' })).toEqual(await estimate({ prompt: ['a cat', 'a cat'] }));
    expect((await estimate({ seed: 1 })).m[500]).not.toBe(whole.m[500]);
  });

  it('is of latents of the network’s own sides where none are given', async () => {
    const { unet, vae } = pipeline;
    const side = unet.sampleSize * vae.factor;
    const latents = Float32Array.from({ length: 2 * vae.latentChannels * unet.sampleSize ** 2 }, (_, i) => Math.sin(i));
    const unsaid = await estimate({ height: undefined, width: undefined }, latents);
    expect(unsaid).toEqual(await estimate({ height: side, width: side }, latents));
  });

  it('is of the latents of images, whatever their range', async () => {
    const values = Float32Array.from({ length: 2 * 3 * 32 * 16 }, (_, i) => Math.sin(i * i));
    const { mean } = await pipeline.vae.encode(values, size);
    const expected = await estimate({}, pipeline.vae.toDiffusion(mean));
    const sides = { height: undefined, width: undefined };
    expect(await estimate(sides, new ImageBatch(values, [2, 3, 32, 16]))).toEqual(expected);
    const levels = new ImageBatch(
      values.map((value) => (value + 1) / 2),
      [2, 3, 32, 16],
      [0, 1],
    );
    const { m } = await estimate(sides, levels);
    expect(m[500]! / expected.m[500]!).toBeCloseTo(1, 4);
  });

  it.each([
    ['captions for other images', { prompt: ['a', 'b', 'c'] }, /prompt has 3 texts for 2 images/],
    ['no caption', { prompt: [] }, /prompt/],
    ['more samples than images', { samples: 3 }, /samples is 3/],
    ['a side that no latents have', { height: 30 }, /height is 30/],
    ['latents of another size', { height: 48 }, /images has 256 elements/],
    ['times beyond the schedule', { timesteps: [1001] }, /timesteps/],
    ['options of another estimate', { classLabels: [0, 1] }, /classLabels/],
  ])('refuses %s', async (_, options, message) => {
    await expect(estimate(options as Partial<LatentGammaOptions>)).rejects.toThrow(message);
  });

  it('refuses images of another shape, and what is no pipeline', async () => {
    const images = new ImageBatch(new Float32Array(3 * 16 * 16), [1, 3, 16, 16]);
    await expect(estimate({}, images)).rejects.toMatchObject({ code: 'ERR_DPM_TENSOR_SHAPE' });
    const other = { schedule: pipeline.schedule } as unknown as TextToImage;
    await expect(estimateLatentGamma(other, latents, { prompt: 'a' })).rejects.toThrow(/the pipeline/);
  });

  it('ends when it is aborted', async () => {
    const controller = new AbortController();
    const running = estimate({
      signal: controller.signal,
      onProgress: () => {
        controller.abort();
      },
    });
    await expect(running).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
  });
});

describe('the table of a pipeline', () => {
  const call = { prompt: 'a cat', steps: 5, ...size, output: 'latents', sampler: 'analytic-ddim' } as const;

  it("is its folder's, unless another is given", async () => {
    const place = join(temporaryFolder(), 'sd1');
    await cp(sd1, place, { recursive: true });
    await using plain = await TextToImage.load(sd1, { device: 'cpu' });
    const gamma = { ...goldenTable(), m: new Float64Array(1001).fill(0.3), schedule: plain.schedule.name };
    await writeGammaTable(join(place, 'gamma.json'), gamma);
    await using pipeline = await TextToImage.load(place, { device: 'cpu' });
    expect(pipeline.gamma).toEqual(gamma);
    expect(plain.gamma).toBeNull();
    await expect(plain.generate(call)).rejects.toThrow(/gamma/);
    const { latents: own } = await pipeline.generate(call);
    expect((await plain.generate({ ...call, gamma })).latents).toEqual(own);
    const other = new Float64Array(1001).fill(0.9);
    expect((await pipeline.generate({ ...call, gamma: other })).latents).not.toEqual(own);
  });

  it('is of the schedule', async () => {
    await using pipeline = await TextToImage.load(sd1, { device: 'cpu' });
    const gamma = { ...goldenTable(), schedule: 'cosine' };
    await expect(pipeline.generate({ ...call, gamma })).rejects.toThrow(/'cosine'/);
  });
});

describe('a run of a program', () => {
  it('draws what its sampler draws, and refuses what the program says', async () => {
    await using pipeline = await TextToImage.load(sd1, { device: 'cpu' });
    const { schedule } = pipeline;
    const asked = { prompt: 'a cat', ...size, seed: 3 } as const;
    const program = samplers.ddim(schedule, { steps: 4, clip: 'none' });
    const drawn = await pipeline.run(program, asked);
    const expected = await pipeline.generate({ ...asked, sampler: 'ddim', steps: 4 });
    expect(drawn.latents).toEqual(expected.latents);
    expect(drawn.images!.data).toEqual(expected.images!.data);
    for (const option of [{ steps: 4 }, { sampler: 'ddim' }, { gamma: [] }]) {
      await expect(pipeline.run(program, { ...asked, ...option })).rejects.toThrow(Object.keys(option)[0]);
    }
    await expect(pipeline.run({} as never, asked)).rejects.toThrow(/the program/);
  });
});
