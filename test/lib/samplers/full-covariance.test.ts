// Steps with full covariances on mixtures of Gaussians, whose means and covariances are known, and the chains they add up to.
import { readFileSync } from 'node:fs';

import { afterAll, describe, expect, it } from 'vitest';

import { Device } from '../../../lib/engine/device.js';
import { samplers } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import type { Prediction } from '../../../lib/schedule/defaults.js';
import { jump } from '../../../lib/schedule/jump.js';
import { noiseLevel } from '../../../lib/schedule/noise-level.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { runExact, type Differentiable } from '../../support/exact-derivatives.js';
import { noisePrediction, type Mixture } from '../../support/full-mixture.js';
import { maxDifference } from '../../support/golden.js';
import { packagePath } from '../../support/temporary.js';

interface JumpForm {
  s: number;
  t: number;
  x: number[][];
  dataMean: number[][];
  stepCovariance: number[][][];
  z: number[][];
  root: number[][];
  lanczosSteps: number[];
  lanczos: number[][][];
}

interface Moments {
  mean: number[];
  covariance: number[][];
}

interface Forms extends Mixture {
  jumps: JumpForm[];
  gaussianChains: { times: number[]; ends: Record<'scalar' | 'diagonal' | 'full', Moments> }[];
}

const forms = JSON.parse(
  readFileSync(packagePath('test/fixtures/gradients/covariance/closed-forms.json'), 'utf8'),
) as Forms;
const d = 6;
// Wide data: the diagonal is limited by the width.
const schedule = NoiseSchedule.linear({ networkTime: 'index1', defaults: { dataRange: [-9, 9] } });
const device = Device.open({ device: 'cpu', threads: 1 });
afterAll(() => device.close());

const zeros = Array.from({ length: d }, () => 0);
const unit = (i: number): number[] => zeros.map((_, k) => (k === i ? 1 : 0));

/** A perfect network of a mixture that predicts what it is to predict, at times n. */
function perfect(mixture: Mixture, prediction: Prediction): Differentiable {
  return (x, n, v) => {
    const [alpha, sigma] = [Math.sqrt(schedule.alphaBar(n)), Math.sqrt(schedule.betaBar(n))];
    const { noise, derivative } = noisePrediction(mixture, schedule.alphaBar(n), x, v);
    const mixed = (input: number, eps: number) => ({
      out: x.map((value, i) => input * value + eps * noise[i]!),
      along: v.map((value, i) => input * value + eps * derivative[i]!),
    });
    switch (prediction) {
      case 'x0':
        return mixed(1 / alpha, -sigma / alpha);
      case 'v':
        return mixed(-sigma / alpha, alpha + (sigma * sigma) / alpha);
      case 'score':
        return mixed(0, -1 / sigma);
      default:
        return mixed(0, 1);
    }
  };
}

/** One jump without a limit on its noise. */
function oneStep({ s, t }: { s: number; t: number }, options: SamplerOptions) {
  const [from, to] = [noiseLevel(schedule, t), noiseLevel(schedule, s)];
  const levels = [
    { alpha: from.alpha, sigma: from.sigma, time: t },
    { alpha: to.alpha, sigma: to.sigma },
  ];
  return samplers['full-ddpm'](schedule, { levels, clip: 'none', lastNoiseClip: null, ...options });
}

/** The means of the steps from the states of a closed form. */
function means({ s, t, x, dataMean }: JumpForm): number[][] {
  const { stateScale, sensitivity } = jump(schedule, { s, t }, 1);
  return x.map((state, n) => state.map((value, i) => stateScale * value + sensitivity * dataMean[n]![i]!));
}

describe.each(forms.jumps.map((form) => [form.s, form.t, form] as const))('the step to %i from %i', (s, t, form) => {
  const { x: states, z } = form;
  const mean = means(form);

  it.each(form.lanczosSteps.map((steps, k) => [steps, k]))('by %i products', async (lanczosSteps, k) => {
    const program = oneStep(form, { lanczosSteps, prediction: 'x0' });
    const found = await runExact(device, program, perfect(forms, 'x0'), { states, noise: [z] });
    found.forEach((sample, n) => {
      const expected = mean[n]!.map((value, i) => value + form.lanczos[k]![n]![i]!);
      expect(maxDifference(sample, expected)).toBeLessThan(1e-5);
      if (lanczosSteps === d) expect(maxDifference(form.lanczos[k]![n]!, form.root[n]!)).toBeLessThan(1e-12);
    });
  });

  it('has the exact covariance, and its mean without noise', async () => {
    for (const [n, state] of states.entries()) {
      const noise = [[zeros, ...zeros.map((_, i) => unit(i))]];
      const program = oneStep({ s, t }, { lanczosSteps: d, prediction: 'x0' });
      const all = Array.from({ length: d + 1 }, () => state);
      const [still, ...moved] = await runExact(device, program, perfect(forms, 'x0'), { states: all, noise });
      expect(maxDifference(still!, mean[n]!)).toBeLessThan(1e-5);
      const columns = moved.map((sample) => sample.map((value, i) => value - still![i]!));
      const covariance = zeros.map((_, i) => zeros.map((_0, j) => columns.reduce((sum, c) => sum + c[i]! * c[j]!, 0)));
      expect(maxDifference(covariance.flat(), form.stepCovariance[n]!.flat())).toBeLessThan(1e-5);
    }
  });

  it.each(['epsilon', 'v', 'score'] as const)('whatever the network predicts: %s', async (prediction) => {
    const program = oneStep(form, { lanczosSteps: d, prediction });
    const found = await runExact(device, program, perfect(forms, prediction), { states, noise: [z] });
    found.forEach((sample, n) => {
      const expected = mean[n]!.map((value, i) => value + form.root[n]![i]!);
      // Near noise alone I - sqrt(B) J is a small difference of products in float32.
      const digits = t === 1000 && prediction !== 'v' ? 2e-4 : 1e-5;
      expect(maxDifference(sample, expected)).toBeLessThan(digits);
    });
  });
});

/**
 * Mean and covariance at the end of a chain that is linear in its first state and its noise: one sample moves along each of those.
 *
 * @param probes - That a step draws after its noise.
 */
async function chain(times: readonly number[], options: SamplerOptions, probes: number[][] = []): Promise<Moments> {
  const gaussian: Mixture = { weights: [1], means: [forms.means[0]!], covariances: [forms.covariances[0]!] };
  const program = samplers['full-ddpm'](schedule, {
    timesteps: times.map((n) => n - 1),
    clip: 'none',
    prediction: 'x0',
    finalNoise: true,
    lastNoiseClip: null,
    ...options,
  });
  // Sample 0 is still; of the others, each has one number that is not 0: of the first state, then of the noise of each step.
  const count = 1 + d * (1 + times.length);
  const moving = (step: number): number[][] =>
    Array.from({ length: count }, (_, n) => (Math.ceil(n / d) - 1 === step ? unit((n - 1) % d) : zeros));
  const noise = times.flatMap((_, step) => [
    moving(step + 1),
    ...probes.map((probe) => new Array<number[]>(count).fill(probe)),
  ]);
  const ends = await runExact(device, program, perfect(gaussian, 'x0'), { states: moving(0), noise });
  const [still, ...moved] = ends;
  const columns = moved.map((sample) => sample.map((value, i) => value - still![i]!));
  const covariance = zeros.map((_, i) => zeros.map((_0, j) => columns.reduce((sum, c) => sum + c[i]! * c[j]!, 0)));
  return { mean: still!, covariance };
}

describe.each(forms.gaussianChains.map(({ times, ends }) => [times, ends] as const))(
  'a chain through %j',
  (times, ends) => {
    const data = forms.covariances[0]!.flat();

    it('has the mean and the covariance of Gaussian data with full covariances', async () => {
      const { mean, covariance } = await chain(times, { lanczosSteps: d });
      expect(maxDifference(mean, ends.full.mean)).toBeLessThan(1e-5);
      expect(maxDifference(covariance.flat(), ends.full.covariance.flat())).toBeLessThan(1e-5);
      expect(maxDifference(covariance.flat(), data)).toBeLessThan(1e-5);
      // The mean is a little off for a start from N(0, I) instead of the noised data.
      expect(maxDifference(mean, forms.means[0]!)).toBeLessThan(1e-4);
    });

    it('has neither with diagonals', async () => {
      const signs = Array.from({ length: 2 ** d }, (_, k) => zeros.map((_0, i) => ((k >> i) & 1 ? 1 : -1)));
      const { mean, covariance } = await chain(times, { diagonal: signs.length }, signs);
      expect(maxDifference(mean, ends.diagonal.mean)).toBeLessThan(1e-5);
      expect(maxDifference(covariance.flat(), ends.diagonal.covariance.flat())).toBeLessThan(1e-5);
      expect(maxDifference(covariance.flat(), data)).toBeGreaterThan(0.4);
    });

    it('lacks the last covariance without noise in the step to the data', async () => {
      const { covariance } = await chain(times, { lanczosSteps: d, finalNoise: false });
      const difference = maxDifference(covariance.flat(), data);
      expect(difference).toBeGreaterThan(5e-5);
      expect(difference).toBeLessThan(2e-4);
    });
  },
);
