import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { flowLikelihood, type FlowLikelihoodOptions } from '../../../lib/estimation/flow/flow-likelihood.js';
import {
  estimateLikelihood,
  likelihoodOptionFacts,
  likelihoodSamplerNames,
  type LikelihoodOptions,
} from '../../../lib/estimation/likelihood/estimate.js';
import type { Likelihood } from '../../../lib/estimation/likelihood/summary.js';
import { writeSafetensors } from '../../../lib/files/tensor-data.js';
import { DiffusionModel } from '../../../lib/model.js';
import { DEFAULT_STEPS } from '../../../lib/samplers/common-options.js';
import { inModelSpace, strokes } from '../../support/digits.js';
import { dpm } from '../../support/dpm.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const mnist = packagePath('models/mnist');
const images = inModelSpace(strokes(6));

function sumOfTerms({ prior, kl, decoder }: Likelihood): number {
  return [prior, ...kl, decoder].reduce((sum, { bits }) => sum + bits, 0);
}

describe('the bound of the bundled model', () => {
  let model: DiffusionModel;
  beforeAll(async () => {
    model = await DiffusionModel.load(mnist, { device: 'cpu' });
  });
  afterAll(() => model.close());

  const bound = (options: Partial<LikelihoodOptions> & Pick<LikelihoodOptions, 'sampler'>): Promise<Likelihood> =>
    estimateLikelihood(model, images, { steps: 5, ...options });

  it.each<Pick<LikelihoodOptions, 'sampler' | 'variance' | 'avgCov' | 'trajectory'>>([
    ...likelihoodSamplerNames.map((sampler) => ({ sampler })),
    { sampler: 'ddpm', variance: 'beta' },
    { sampler: 'npr-ddpm', avgCov: true },
    { sampler: 'analytic-ddpm', trajectory: 'optimal' },
    { sampler: 'ancestral', trajectory: 'quadratic' },
  ])('%j: the terms add up', async (options) => {
    const likelihood = await bound(options);
    expect(likelihood).toMatchObject({ sampler: options.sampler, images: 6, dimensions: 784 });
    expect(likelihood.kl).toHaveLength(4);
    expect(likelihood.total.bits).toBeCloseTo(sumOfTerms(likelihood), 10);
    expect(likelihood.total.standardError).toBeGreaterThan(0);
    for (const { bits } of likelihood.kl) expect(bits).toBeGreaterThanOrEqual(0);
    expect(likelihood.kl[0]?.t).toBe(likelihood.prior.t);
    expect(likelihood.kl[3]?.s).toBe(likelihood.decoder.t);
  });

  it('orders the variances at few steps', async () => {
    const total = async (options: Parameters<typeof bound>[0]) => (await bound(options)).total.bits;
    const beta = await total({ sampler: 'ddpm', variance: 'beta' });
    expect(await total({ sampler: 'ancestral' })).toBe(beta);
    expect(await total({ sampler: 'ddpm', variance: 'beta-tilde' })).toBeGreaterThan(2 * beta);
    expect(await total({ sampler: 'analytic-ddpm' })).toBeLessThan(beta);
  });

  it('depends on the seed, not on the batch', async () => {
    const seven = await bound({ sampler: 'npr-ddpm', seed: 7 });
    expect(await bound({ sampler: 'npr-ddpm', seed: 7, batch: 4 })).toEqual(seven);
    expect(await bound({ sampler: 'npr-ddpm', seed: 7n, batch: 1 })).toEqual(seven);
    expect((await bound({ sampler: 'npr-ddpm', seed: 8 })).total.bits).not.toBe(seven.total.bits);
  });

  it('can be of one image, and of the published decoder', async () => {
    const one = await bound({ sampler: 'ancestral', samples: 1, seed: 3 });
    expect(one.images).toBe(1);
    expect(one.total.standardError).toBeNaN();
    const published = await bound({ sampler: 'ancestral', samples: 1, seed: 3, decoder: 'tanh' });
    const { decoder, seed, batch } = likelihoodOptionFacts;
    const standard = { decoder: decoder.standard, batch: batch.standard };
    expect(await bound({ sampler: 'ancestral', samples: 1, seed: 3, ...standard })).toEqual(one);
    const unsaid = await bound({ sampler: 'ancestral', samples: 1 });
    expect(await bound({ sampler: 'ancestral', samples: 1, seed: seed.standard })).toEqual(unsaid);
    expect(unsaid.total.bits).not.toBe(one.total.bits);
    expect(published.kl).toEqual(one.kl);
    expect(published.decoder.bits).not.toBe(one.decoder.bits);
    expect(Math.abs(published.decoder.bits / one.decoder.bits - 1)).toBeLessThan(0.05);
  });

  it.each<[string, Partial<LikelihoodOptions>, RegExp]>([
    ['ddim', {}, /infinite/],
    ['ddpm', { gamma: [0] }, /sampler ddpm has no option 'gamma'/],
    ['ddpm', { lastNoiseClip: 2 } as Partial<LikelihoodOptions>, /no option 'lastNoiseClip'/],
    ['ddpm', { steps: 0 }, /steps is 0/],
    ['ddpm', { samples: 7 }, /samples is 7.*6 images/],
    ['ddpm', { batch: 0 }, /batch is 0/],
    ['ddpm', { variance: 'learned' }, /needs a network with 2 output channels/],
    ['ddpm', { classLabels: [1, 2] }, /2 labels for 6 images/],
    ['ddpm', { classLabels: [1, 2, 3, 4, 5, 6] }, /not class-conditional/],
  ])('%s %j is refused', async (sampler, options, message) => {
    await expect(bound({ sampler: sampler as 'ddpm', ...options })).rejects.toThrow(message);
  });

  it('refuses data that are no 8-bit images of its shape', async () => {
    const off = images.slice();
    off[784 * 2 + 5] = 0.123;
    const options = { sampler: 'ddpm', steps: 2 } as const;
    await expect(estimateLikelihood(model, off, options)).rejects.toThrow(/image 2 holds 0\.123/);
    off[784 * 2 + 5] = NaN;
    await expect(estimateLikelihood(model, off, options)).rejects.toThrow(/image 2 holds NaN/);
    await expect(estimateLikelihood(model, images.subarray(5), options)).rejects.toMatchObject({
      code: 'ERR_DPM_TENSOR_SHAPE',
    });
  });

  it('aborts', async () => {
    const controller = new AbortController();
    const done: number[] = [];
    const work = bound({
      sampler: 'ddpm',
      batch: 2,
      signal: controller.signal,
      onProgress: (each, total) => {
        done.push(each);
        expect(total).toBe(18);
        if (each === 2) controller.abort();
      },
    });
    await expect(work).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
    expect(done).toEqual([1, 2]);
  });
});

describe('a network with a learned range', () => {
  it('has a bound', async () => {
    const fixture = packagePath('test/fixtures/unet/diffusers-adm');
    const folder = join(temporaryFolder(), 'centred');
    await cp(fixture, folder, { recursive: true });
    const config = join(folder, 'unet', 'config.json');
    const raw = JSON.parse(await readFile(config, 'utf8')) as object;
    await writeFile(config, JSON.stringify({ ...raw, center_input_sample: false }));
    const model = await DiffusionModel.load(folder, { device: 'cpu' });
    const uncentred = await DiffusionModel.load(fixture, { device: 'cpu' });
    try {
      const elements = model.sampleShape.reduce((product, size) => product * size, 1);
      const data = Float32Array.from({ length: 2 * elements }, (_, i) => (i % 256) / 127.5 - 1);
      const options = { sampler: 'ddpm', variance: 'learned', steps: 3, classLabels: [3, 7] } as const;
      const likelihood = await estimateLikelihood(model, data, options);
      expect(likelihood.total.bits).toBeCloseTo(sumOfTerms(likelihood), 8);
      expect(await estimateLikelihood(model, data, { ...options, batch: 1 })).toEqual(likelihood);
      await expect(estimateLikelihood(uncentred, data, options)).rejects.toThrow(/no 8-bit value from 0 to 1/);
      // Noise depends on an image's place among the given ones, whichever are chosen.
      const many = new Float32Array(9 * elements);
      for (let n = 0; n < 9; ++n) many.fill(0.001 * (n + 1), n * elements, (n + 1) * elements);
      const chosen = { ...options, samples: 2, classLabels: undefined };
      const wrong: unknown = await estimateLikelihood(model, many, { ...chosen, seed: 6 }).catch(
        (error: unknown) => error,
      );
      const [, place, value] = /^image (\d+) holds ([\d.]+)/.exec((wrong as Error).message) ?? [];
      expect(Number(place)).toBeGreaterThan(0);
      expect(Number(value)).toBeCloseTo(0.001 * (Number(place) + 1), 6);
      const unit = await estimateLikelihood(
        uncentred,
        data.map((value) => (value + 1) / 2),
        options,
      );
      expect(unit.total.bits).toBeCloseTo(sumOfTerms(unit), 8);
    } finally {
      await model.close();
      await uncentred.close();
    }
  });
});

describe('dpm nll', () => {
  const folder = temporaryFolder();
  const data = join(folder, 'images.safetensors');
  const wrong = join(folder, 'wrong.safetensors');
  const two = join(folder, 'two.safetensors');
  beforeAll(async () => {
    await writeSafetensors(data, { images: { shape: [6, 1, 28, 28], data: images } });
    await writeSafetensors(two, { images: { shape: [2, 1, 28, 28], data: images.subarray(0, 2 * 784) } });
    await writeSafetensors(wrong, { images: { shape: [1, 1, 14, 56], data: images.subarray(0, 784) } });
  });
  const base = ['nll', mnist, '--device', 'cpu', '--data', data, '--sampler', 'npr-ddpm'];

  it('says every term to people and machines', async () => {
    const { code, stdout, stderr } = await dpm(...base, '--steps', '3', '--samples', '4');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^prior 1000 .*\n1000 -> 500 .*\n500 -> 1 .*\ndecoder 1 -> 0 .*\ntotal /m);
    expect(stdout).toMatch(/npr-ddpm, 3 steps, 4 images/);
    expect((await dpm(...base, '--samples', '1')).stdout).toContain(`npr-ddpm, ${DEFAULT_STEPS} steps, 1 images`);
    const json = JSON.parse((await dpm(...base, '--steps', '3', '--samples', '4', '--json')).stdout) as Likelihood;
    expect(json.total.bits).toBeCloseTo(sumOfTerms(json), 10);
    expect(stdout).toContain(json.total.bits.toPrecision(5));
  });

  it.each<[readonly string[], FlowLikelihoodOptions]>([
    [['--rtol', '0.5'], { rtol: 0.5 }],
    [['--atol', '0.5'], { atol: 0.5 }],
    [['--batch-norm', 'reference'], { batchNorm: 'reference' }],
    [['--probe', 'gaussian'], { probe: 'gaussian' }],
    [['--repeats', '2'], { repeats: 2 }],
    [['--seed', '7'], { seed: 7 }],
    [['--samples', '1'], { samples: 1 }],
  ])('hands %j on to the flow', async (flags, options) => {
    const loose = { '--atol': 'atol', '--rtol': 'rtol' } as const;
    const others = Object.entries(loose).filter(([flag]) => !flags.includes(flag));
    const args = [...flags, ...others.flatMap(([flag]) => [flag, '0.1'])];
    const { stdout } = await dpm('nll', mnist, '--device', 'cpu', '--data', two, '--flow', '--json', ...args);
    await using model = await DiffusionModel.load(mnist, { device: 'cpu' });
    const found = await flowLikelihood(model, images.subarray(0, 2 * 784), { atol: 0.1, rtol: 0.1, ...options });
    const { bits, evaluations } = JSON.parse(stdout) as { bits: number[]; evaluations: number };
    expect({ bits, evaluations }).toEqual({ bits: [...found.bits], evaluations: found.evaluations });
  });

  it.each([
    [['--flow', '--steps', '3'], '--steps is for bounds'],
    [['--flow', '--decoder', 'tanh'], '--decoder is for bounds'],
    [['--sampler', 'ddpm', '--rtol', '1'], '--rtol is for --flow'],
  ])('%j is refused', async (args, message) => {
    const { code, stderr } = await dpm('nll', mnist, '--data', two, ...args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  it.each<[string[], number, RegExp]>([
    [['--sampler', 'ddim', '--steps', '3'], 2, /\[ERR_DPM_ARGUMENT\].*sampler ddim.*infinite/],
    [['--steps', '3', '--data', wrong], 1, /\[ERR_DPM_TENSOR_SHAPE\].*wrong\.safetensors: images is \[1, 1, 14, 56\]/],
    [['--steps', '3', '--data', 'no.safetensors'], 1, /\[ERR_DPM_FILE\].*no\.safetensors/],
    [['--steps', '3', '--decoder', 'best'], 2, /--decoder is 'best'/],
    [['--steps', '3', '--eta', '1'], 2, /--eta/],
  ])('%j is refused', async (args, code, message) => {
    const outcome = await dpm(...base, ...args);
    expect(outcome.stderr).toMatch(message);
    expect(outcome.code).toBe(code);
  });
});
