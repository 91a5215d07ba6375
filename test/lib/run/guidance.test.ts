// Classifier-free guidance in the native loop against the same arithmetic around single evaluations.
import '../../support/emulated-cuda.js';

import { describe, expect, it } from 'vitest';

import { DiffusionModel, type SampleOptions } from '../../../lib/model.js';
import type { Program } from '../../../lib/program/program.js';
import { runProgram } from '../../../lib/run/run-program.js';
import { samplers } from '../../../lib/samplers/index.js';
import { maxDifference } from '../../support/golden.js';
import { packagePath } from '../../support/temporary.js';

const folder = packagePath('test/fixtures/unet/diffusers-adm');
const count = 3;
const classLabels = [3, 7, 0];
const weights = [2.5, 1, 0];

/** The program on a model that evaluates both ways one after the other. */
async function scripted(model: DiffusionModel, program: Program, unconditionalLabel: number): Promise<Float32Array> {
  const size = model.sampleShape.reduce((product, each) => product * each, 1);
  const first = (both: Float32Array, sample: number, half = 0): Float32Array =>
    both.subarray((2 * sample + half) * size, (2 * sample + half + 1) * size);
  return runProgram(program, {
    device: model.device,
    shape: [count, ...model.sampleShape],
    seed: 4,
    async model(x, t) {
      const conditional = (await model.unet.forward(x, t, { classLabels })).out;
      const unconditional = (
        await model.unet.forward(x, t, { classLabels: new Array<number>(count).fill(unconditionalLabel) })
      ).out;
      const out = new Float32Array(x.length);
      const head = new Float32Array(x.length);
      weights.forEach((weight, sample) => {
        const [yes, no] = [first(conditional, sample), first(unconditional, sample)];
        out.set(
          yes.map((value, i) => weight * value + (1 - weight) * no[i]!),
          sample * size,
        );
        head.set(weight === 0 ? first(unconditional, sample, 1) : first(conditional, sample, 1), sample * size);
      });
      return { out, head };
    },
  });
}

describe('classifier-free guidance', () => {
  it.each(['cpu', 'reference', 'cuda:0'])('mixes both predictions on %s', async (device) => {
    await using model = await DiffusionModel.load(folder, { device, exact: true, dtype: 'f32' });
    const programs = {
      learned: samplers.ddpm(model.schedule, { steps: 3, variance: 'learned' }),
      single: samplers['dpm-solver-2'](model.schedule, { steps: 4, clip: 'static' }),
      driven: samplers['predictor-corrector'](model.schedule, { steps: 4 }),
    };
    for (const [name, program] of Object.entries(programs)) {
      if (device !== 'cpu' && name !== 'learned') continue;
      for (const unconditionalLabel of device === 'cpu' ? [undefined, 4] : [undefined]) {
        const options = { count, seed: 4, classLabels, guidance: weights, unconditionalLabel };
        const { images } = await model.run(program, options);
        const expected = await scripted(model, program, unconditionalLabel ?? 9);
        const scale = Math.max(1, ...expected.map(Math.abs));
        expect(maxDifference(images.data, expected) / scale, name).toBeLessThan(1e-4);
      }
    }
  });

  it('leaves samples without guidance as they were, whoever is beside them', async () => {
    await using model = await DiffusionModel.load(folder, { device: 'cpu' });
    const options: SampleOptions = { sampler: 'ddim', steps: 3, count, seed: 4, classLabels };
    const size = model.sampleShape.reduce((product, each) => product * each, 1);
    const plain = (await model.sample(options)).images.data;
    const mixed = (await model.sample({ ...options, guidance: weights })).images.data;
    expect(mixed.subarray(size, 2 * size)).toEqual(plain.subarray(size, 2 * size));
    expect(maxDifference(mixed.subarray(0, size), plain.subarray(0, size))).toBeGreaterThan(1e-3);
    const unconditional = (await model.sample({ ...options, classLabels: [9, 9, 9] })).images.data;
    expect(mixed.subarray(2 * size)).toEqual(unconditional.subarray(2 * size));
    for (const batch of [1, 2]) {
      expect((await model.sample({ ...options, guidance: weights, batch })).images.data).toEqual(mixed);
    }
    expect((await model.sample({ ...options, guidance: 1 })).images.data).toEqual(plain);
  });

  it('may take no label at all for the unconditional prediction', async () => {
    await using model = await DiffusionModel.load(folder, { device: 'cpu' });
    const options: SampleOptions = { sampler: 'ddim', steps: 2, classLabels: 1, guidance: 3 };
    const last = (await model.sample(options)).images.data;
    const none = (await model.sample({ ...options, unconditionalLabel: null })).images.data;
    expect(none.every(Number.isFinite)).toBe(true);
    expect(maxDifference(last, none)).toBeGreaterThan(1e-4);
  });

  it('refuses what makes no sense', async () => {
    await using model = await DiffusionModel.load(folder, { device: 'cpu' });
    const options: SampleOptions = { sampler: 'ddim', steps: 2, classLabels: 1 };
    await expect(model.sample({ ...options, guidance: Number.NaN })).rejects.toThrow(/guidance is NaN/);
    await expect(model.sample({ ...options, guidance: [1, 2] })).rejects.toThrow(/2 weights for 1 samples/);
    await expect(model.sample({ ...options, guidance: 2, unconditionalLabel: 10 })).rejects.toThrow(
      /unconditionalLabel is 10/,
    );
    await using digits = await DiffusionModel.load(packagePath('models/mnist'), { device: 'cpu' });
    await expect(digits.sample({ sampler: 'ddim', steps: 2, guidance: 2 })).rejects.toThrow(/class-conditional/);
  });
});
