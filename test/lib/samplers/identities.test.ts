// Samplers that are the same method in other words, and closed forms on Gaussian data.
import { describe, expect, it } from 'vitest';

import { samplers, type SamplerName } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import type { Prediction } from '../../../lib/schedule/defaults.js';
import { jump } from '../../../lib/schedule/jump.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { transitions } from '../../../lib/schedule/trajectory.js';
import type { HeadName } from '../../../lib/checkpoint/heads.js';
import { headVariance } from '../../../lib/variance/reverse-variance.js';
import { moments } from '../../support/gaussian.js';
import { maxDifference } from '../../support/golden.js';
import { asSteps, interpret, type InterpretedModel } from '../../support/interpreter.js';
import { resultVariance } from '../../support/linear-program.js';
import { Mixture } from '../../support/mixture.js';
import { Random } from '../../support/random.js';

const schedule = NoiseSchedule.vp();
const mixture = new Mixture([
  { weight: 0.4, mean: [-0.7], variance: [0.02] },
  { weight: 0.6, mean: [0.4], variance: [0.2] },
]);

const powersOf = (sde: NoiseSchedule, time: number) => ({ alphaBar: sde.alphaBar(time), betaBar: sde.betaBar(time) });

/** The exact network; its head is what a head of the kind should say. */
function exactModel(head: HeadName = 'npr'): InterpretedModel {
  const at = (x: number, networkTime: number) => {
    const powers = powersOf(schedule, networkTime / 999);
    const epsilon = mixture.epsilon([x], powers)[0]!;
    const spread = (powers.alphaBar / powers.betaBar) * mixture.posterior([x], powers).covariance[0]!;
    const width = 1e-4;
    const [above, below] = [x + width, x - width].map((each) => mixture.epsilon([each], powers)[0]!);
    // The score is -epsilon / sqrt(B), so B times its derivative is this.
    const curvature = (-Math.sqrt(powers.betaBar) * (above! - below!)) / (2 * width);
    return { epsilon, head: { npr: spread, sn: spread + epsilon * epsilon, ocm: curvature }[head] };
  };
  return { out: (x, t) => at(x, t).epsilon, head: (x, t) => at(x, t).head };
}

const random = new Random(5);
const starts = Float64Array.from({ length: 16 }, () => random.between(-2.5, 2.5));
const noises = Array.from({ length: 40 }, () => starts.map(() => random.between(-2, 2)));

function result(sampler: SamplerName, options: SamplerOptions, model = exactModel(), on = schedule): Float64Array {
  return interpret(asSteps(samplers[sampler](on, options)), model, starts, (drawn) => noises[drawn]!);
}

describe('one method under several names', () => {
  const grid = { steps: 12, trajectory: 'logsnr' } as const;

  it.each<[string, SamplerName, SamplerOptions, SamplerName, SamplerOptions]>([
    ['DDIM is DPM-Solver-1', 'ddim', { ...grid, end: 'first' }, 'dpm-solver-1', grid],
    [
      'DPM-Solver-1 is the first-order DPM-Solver++',
      'dpm-solver-1',
      { ...grid, steps: 2 },
      'dpm-solver++-2m',
      { ...grid, steps: 2, lowerOrderFinal: 'always' },
    ],
    [
      'a first-order step of SDE-DPM-Solver++ is DDPM with the posterior variance',
      'ddpm',
      { ...grid, steps: 2, end: 'first', variance: 'beta-tilde' },
      'dpm-solver++-2m-sde',
      { ...grid, steps: 2, lowerOrderFinal: 'always' },
    ],
    [
      'DEIS-2 in ln(sigma / alpha) is the multistep DPM-Solver with Taylor weights',
      'deis',
      { ...grid, order: 2, basis: 'log-ratio' },
      'dpm-solver-2m',
      { ...grid, solverType: 'taylor' },
    ],
    [
      'DEIS-3 in ln(sigma / alpha) is the third-order multistep DPM-Solver',
      'deis',
      { ...grid, order: 3, basis: 'log-ratio' },
      'dpm-solver-3m',
      { ...grid, solverType: 'taylor' },
    ],
    [
      'ancestral sampling is DDPM with the forward variance and a limit on the last noise',
      'ancestral',
      { steps: 10 },
      'ddpm',
      { steps: 10, variance: 'beta', lastNoiseClip: 1 },
    ],
    [
      'DPM-Solver-fast with one evaluation is DPM-Solver-1',
      'dpm-solver-fast',
      { steps: 1 },
      'dpm-solver-1',
      { steps: 1 },
    ],
  ])('%s', (_, first, firstOptions, second, secondOptions) => {
    expect(maxDifference(result(first, firstOptions), result(second, secondOptions))).toBeLessThan(1e-12);
  });

  it.each(['ddpm', 'ddim'] as const)('SN is NPR when the mean is perfect: %s', (form) => {
    for (const lastNoiseClip of [null, 2]) {
      const options = { steps: 15, lastNoiseClip };
      const npr = result(`npr-${form}`, options, exactModel('npr'));
      const sn = result(`sn-${form}`, options, exactModel('sn'));
      expect(maxDifference(npr, sn)).toBeLessThan(1e-10);
    }
  });

  it.each(['ddpm', 'ddim'] as const)('OCM is NPR when score and curvature are exact: %s', (form) => {
    const eta = form === 'ddim' ? { eta: 0.5 } : {};
    for (const options of [{ steps: 15 }, { steps: 15, lastNoiseClip: null, ...eta }]) {
      const npr = result(`npr-${form}`, options, exactModel('npr'));
      const ocm = result(`ocm-${form}`, options, exactModel('ocm'));
      expect(maxDifference(npr, ocm)).toBeLessThan(1e-6);
    }
  });

  it('NPR exceeds SN by 2 eps_hat (eps_hat - E[eps]) for an imperfect mean', () => {
    const step = jump(schedule, { s: 0.4, t: 0.5 }, 1);
    const forms = (['npr', 'sn'] as const).map((head) => headVariance(head, step, { input: 0, output: 1 }));
    const [mean, square, predicted] = [0.3, 0.4, 0.7];
    const [npr, sn] = forms.map(
      ({ offset, head, epsilonSquared }, i) =>
        offset +
        head * (i === 0 ? square - 2 * mean * predicted + predicted ** 2 : square) +
        epsilonSquared * predicted ** 2,
    );
    const scale = step.sensitivity ** 2 * (step.sigmaT / step.alphaT) ** 2;
    expect((npr! - sn!) / scale).toBeCloseTo(2 * predicted * (predicted - mean), 12);
  });

  it.each<SamplerName>([
    'ddpm',
    'npr-ddim',
    'dpm-solver-3',
    'dpm-solver++-2m',
    'unipc',
    'deis',
    'heun',
    'euler-maruyama',
  ])('%s does not depend on the parametrisation', (sampler) => {
    const { out, head } = exactModel();
    const convert: Record<
      Exclude<Prediction, 'edm' | 'edm-v'>,
      (x: number, eps: number, alpha: number, sigma: number) => number
    > = {
      epsilon: (_, eps) => eps,
      x0: (x, eps, alpha, sigma) => (x - sigma * eps) / alpha,
      v: (x, eps, alpha, sigma) => alpha * eps - sigma * ((x - sigma * eps) / alpha),
      score: (_, eps, __, sigma) => -eps / sigma,
    };
    const options: SamplerOptions = { steps: 9, ...(sampler === 'npr-ddim' && { lastNoiseClip: null }) };
    const expected = result(sampler, options);
    for (const [prediction, from] of Object.entries(convert)) {
      const model: InterpretedModel = {
        out(x, t) {
          const { alphaBar, betaBar } = powersOf(schedule, t / 999);
          return from(x, out(x, t, 0), Math.sqrt(alphaBar), Math.sqrt(betaBar));
        },
        ...(head !== undefined && { head }),
      };
      const found = result(sampler, { ...options, prediction: prediction as Prediction }, model);
      expect(maxDifference(found, expected), prediction).toBeLessThan(1e-9);
    }
  });
});

describe('the optimal variance of every element on Gaussian data', () => {
  const variances = [0.01, 0.05, 0.2, 0.7, 1.3];
  const linear = NoiseSchedule.linear();
  const marginal = (n: number, c: number): number => linear.alphaBar(n) * c + linear.betaBar(n);
  const posterior = (n: number, c: number): number => (c * linear.betaBar(n)) / marginal(n, c);

  /** Variance of the samples of an NPR chain that starts at q_N and whose last step draws from the posterior, too. */
  function generated(c: number, steps: number): number {
    const jumps = transitions(linear, { steps });
    return jumps.reduce(
      (variance, transition) => {
        const step = jump(linear, transition, 1);
        const form = headVariance('npr', step, { input: 0, output: 1 });
        const { alphaT, sigmaT, sensitivity, stateScale, t } = step;
        const spread = posterior(t, c) * (alphaT / sigmaT) ** 2;
        const slope = (sensitivity * alphaT * c) / marginal(t, c) + stateScale;
        const noise = form.offset + form.head * spread;
        return slope ** 2 * variance + noise;
      },
      marginal(1000, c),
    );
  }

  it.each([2, 5, 10, 50])('draws the data exactly in %i steps', (steps) => {
    for (const c of variances) expect(Math.abs(generated(c, steps) / c - 1)).toBeLessThan(1e-12);
  });
});

describe('generated over true variance of N(0, c) with the exact score', () => {
  const discrete = NoiseSchedule.vpDiscrete();
  // [c, K, Euler-Maruyama, probability flow]
  it.each([
    [0.01, 10, 54.65, 0.6891],
    [0.01, 25, 4.219, 0.5864],
    [0.01, 100, 1.093, 0.8698],
    [0.01, 1000, 0.9937, 0.9854],
    [0.25, 10, 1.388, 0.9473],
    [0.25, 100, 1.015, 0.9912],
    [1, 10, 1.185, 1],
  ])('c = %f, K = %i', (c, steps, eulerMaruyama, probabilityFlow) => {
    const slope = (networkTime: number): number => {
      const { alphaBar, betaBar } = powersOf(schedule, networkTime / 999);
      return Math.sqrt(betaBar) / (alphaBar * c + betaBar);
    };
    const ratio = (sampler: SamplerName): number =>
      resultVariance(asSteps(samplers[sampler](discrete, { steps })), slope) / c;
    expect(Math.abs(ratio('euler-maruyama') / eulerMaruyama - 1)).toBeLessThan(1e-3);
    expect(Math.abs(ratio('probability-flow') / probabilityFlow - 1)).toBeLessThan(1e-3);
  });

  it('comes near 1 with many steps of reverse diffusion', () => {
    for (const c of [0.25, 1]) {
      const slope = (networkTime: number): number => {
        const { alphaBar, betaBar } = powersOf(schedule, networkTime / 999);
        return Math.sqrt(betaBar) / (alphaBar * c + betaBar);
      };
      const errors = [250, 500, 1000].map((steps) =>
        Math.abs(resultVariance(asSteps(samplers['reverse-diffusion'](discrete, { steps })), slope) / c - 1),
      );
      expect(errors[2]).toBeLessThan(0.02);
      expect(errors[0]! / errors[1]!).toBeCloseTo(2, 0);
      expect(errors[1]! / errors[2]!).toBeCloseTo(2, 0);
    }
  });
});

describe('the analytic variance on the continuous schedule', () => {
  const discrete = NoiseSchedule.vpDiscrete();
  const gamma = moments(discrete, 0.01);
  const ratio = (on: NoiseSchedule, options: SamplerOptions): number => {
    const program = asSteps(samplers['analytic-ddpm'](on, { gamma, clip: 'none', lastNoiseClip: null, ...options }));
    const slope = (networkTime: number): number => {
      const { alphaBar, betaBar } = powersOf(schedule, networkTime / 999);
      return Math.sqrt(betaBar) / (alphaBar * 0.01 + betaBar);
    };
    return resultVariance(program, slope) / 0.01;
  };

  it('is that of the discrete one at its times', () => {
    expect(ratio(discrete, { steps: 10 })).toBeCloseTo(0.9891, 4);
    expect(ratio(schedule, { steps: 10 })).toBeCloseTo(ratio(discrete, { steps: 10 }), 10);
  });

  it('is right between them, too', () => {
    // Times that are no multiples of 1 / 1000: only the last, discarded noise is missing.
    for (const trajectory of ['logsnr', 'quadratic', 'karras'] as const) {
      expect(ratio(schedule, { steps: 37, trajectory })).toBeCloseTo(0.9891, 3);
    }
  });
});
