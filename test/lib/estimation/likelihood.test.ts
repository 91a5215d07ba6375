import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  boundTerms,
  decoderVariance,
  evaluateTerms,
  type BoundOptions,
} from '../../../lib/estimation/likelihood/bound.js';
import { centredRange, valueOfLevel } from '../../../lib/base/pixel-range.js';
import {
  binProbability,
  checkGrid,
  discretisedDecoder,
  erfc,
  normalCdf,
} from '../../../lib/estimation/likelihood/decoder.js';
import { likelihoodSampler } from '../../../lib/estimation/likelihood/estimate.js';
import { summarise, type Likelihood } from '../../../lib/estimation/likelihood/summary.js';
import {
  dataPrediction,
  elementVariances,
  klTerm,
  priorTerm,
  type ElementTerm,
} from '../../../lib/estimation/likelihood/terms.js';
import { samplers } from '../../../lib/samplers/index.js';
import type { ReverseFamily } from '../../../lib/samplers/numerics/reverse-step.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { jump } from '../../../lib/schedule/jump.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { gaussianPoints, gaussianPredictor } from '../../support/gaussian-bound.js';
import { normals } from '../../support/philox.js';

const linear = NoiseSchedule.linear();
const levels = Array.from({ length: 256 }, (_, u) => (2 * u) / 255 - 1);

/** The bound of a family on N(0, c) with the perfect network, its expectation taken exactly. */
async function gaussianBound(
  c: readonly number[],
  family: ReverseFamily,
  options: BoundOptions,
  decoder: (t: number) => ElementTerm = exactDecoder(linear, c),
  schedule = linear,
): Promise<Likelihood> {
  const terms = boundTerms(schedule, family, { clip: 'none', ...options }, decoder);
  const { x0, epsilon } = gaussianPoints(c);
  const nats = await evaluateTerms(terms, x0, c.length, gaussianPredictor(schedule, c, x0, epsilon));
  return summarise('exact', terms, nats, c.length);
}

/** -ln N(x_0; mean, Var(x_0 | x_t)) for data N(0, c). */
function exactDecoder(schedule: NoiseSchedule, c: readonly number[]): (t: number) => ElementTerm {
  return (t) => (x0, mean, i) => {
    const [a, b] = [schedule.alphaBar(t), schedule.betaBar(t)];
    const variance = (c[i]! * b) / (a * c[i]! + b);
    return 0.5 * (Math.log(2 * Math.PI * variance) + (x0 - mean) ** 2 / variance);
  };
}

const nats = ({ total, dimensions }: Likelihood): number => total.bits * dimensions * Math.LN2;

describe('the bound on Gaussian data', () => {
  const c = [0.02, 0.1, 0.4];
  const family = (name: 'npr-ddpm' | 'sn-ddpm'): ReverseFamily => samplers[name].family(linear, {});

  /** H(q_0) + KL(q_N || N(0, I)). */
  const limit = c.reduce((sum, each) => {
    const variance = linear.alphaBar(1000) * each + linear.betaBar(1000);
    return sum + 0.5 * Math.log(2 * Math.PI * Math.E * each) + 0.5 * (variance - 1 - Math.log(variance));
  }, 0);

  it('has the known limit', () => {
    expect(limit).toBeCloseTo(0.6913661853, 9);
  });

  it.each([1, 2, 3, 10, 50, 333, 1000])(
    'is the entropy and the distance of the prior with optimal variances: K = %i',
    async (steps) => {
      const bound = await gaussianBound(c, family('npr-ddpm'), { steps });
      expect(nats(bound)).toBeCloseTo(limit, 9);
      expect(bound.kl).toHaveLength(steps - 1);
      expect(bound.prior.t).toBe(1000);
      expect(bound.decoder.t).toBe(steps === 1 ? 1000 : 1);
    },
  );

  it('of one variance is that of the analytic variance, at any parametrisation', async () => {
    const one = [0.3];
    const m = Float64Array.from({ length: 1001 }, (_, n) => {
      const [a, b] = [linear.alphaBar(n), linear.betaBar(n)];
      return b / (a * 0.3 + b);
    });
    const analytic = samplers['analytic-ddpm'].family(linear, { gamma: m });
    const bound = await gaussianBound(one, analytic, { steps: 7 });
    const variance = linear.alphaBar(1000) * 0.3 + linear.betaBar(1000);
    const expected = 0.5 * Math.log(2 * Math.PI * Math.E * 0.3) + 0.5 * (variance - 1 - Math.log(variance));
    expect(nats(bound)).toBeCloseTo(expected, 9);
  });

  it('orders the variances: analytic <= beta << beta-tilde at few steps', async () => {
    const m = Float64Array.from(
      { length: 1001 },
      (_, n) =>
        c.reduce((sum, each) => sum + linear.betaBar(n) / (linear.alphaBar(n) * each + linear.betaBar(n)), 0) / 3,
    );
    const total = async (
      name: 'ddpm' | 'analytic-ddpm' | 'npr-ddpm' | 'ancestral',
      options: SamplerOptions,
      steps: number,
    ) => (await gaussianBound(c, samplers[name].family(linear, options), { steps })).total.bits;
    for (const steps of [5, 10, 50]) {
      const beta = await total('ddpm', { variance: 'beta' }, steps);
      const small = await total('ddpm', { variance: 'beta-tilde' }, steps);
      const analytic = await total('analytic-ddpm', { gamma: m }, steps);
      expect(analytic).toBeLessThan(beta);
      expect(await total('npr-ddpm', {}, steps)).toBeLessThan(analytic);
      expect(small).toBeGreaterThan(beta + (steps === 50 ? 0 : 3));
      expect(await total('ancestral', {}, steps)).toBe(beta);
    }
  });
});

describe('terms', () => {
  it('of the prior are as small as published', () => {
    const bits = (schedule: NoiseSchedule): number => priorTerm(schedule.alphaBar(1000), 0.5) / Math.LN2;
    expect(bits(linear)).toBeCloseTo(7.28e-6, 8);
    expect(bits(NoiseSchedule.cosine())).toBeCloseTo(4.4e-10, 11);
  });

  it('are 0 where both Gaussians agree and infinite where one has no variance', () => {
    const step = jump(linear, { s: 100, t: 300 }, 1);
    expect(klTerm(step, step.posteriorVariance, 0.3, 0.3)).toBe(0);
    expect(klTerm(step, 0, 0.3, 0.3)).toBe(Infinity);
  });

  it('limit the data prediction as sampling does', () => {
    const state = [-3, -0.5, 0.25, 2];
    const identity = { input: 1, output: 0 };
    expect([...dataPrediction(identity, { kind: 'static', low: -1, high: 1 }, state, state)]).toEqual([
      -1, -0.5, 0.25, 1,
    ]);
    expect([...dataPrediction(identity, { kind: 'dynamic', quantile: 1, floor: 1 }, state, state)]).toEqual([
      -1,
      -0.5 / 3,
      0.25 / 3,
      2 / 3,
    ]);
    const within = { kind: 'dynamic', quantile: 1, floor: 1, ceiling: 2.5 } as const;
    expect([...dataPrediction(identity, within, state, state)]).toEqual([-1, -0.2, 0.1, 0.8]);
    // A threshold below the floor does not stretch what lies within.
    const small = [-0.3, 0.1, 0.25, 0.5];
    const floored = (floor: number): number[] => [
      ...dataPrediction(identity, { kind: 'dynamic', quantile: 0.5, floor }, small, small),
    ];
    expect(floored(1)).toEqual(small);
    expect(floored(0.4)).toEqual([-0.3 / 0.4, 0.1 / 0.4, 0.25 / 0.4, 1]);
    expect(floored(0.1)[3]).toBe(1);
  });

  it('take every kind of variance', () => {
    const [state, out, head] = [
      [1, 2],
      [0.5, 0.25],
      [0.1, 3],
    ];
    const values = (variance: Parameters<typeof elementVariances>[0], averaged = false): number[] => [
      ...elementVariances(variance, averaged, state, out, head),
    ];
    expect(values({ kind: 'none' })).toEqual([0, 0]);
    expect(values({ kind: 'scalar', deviation: 3 })).toEqual([9, 9]);
    expect(values({ kind: 'log', offset: 1, head: 2, low: 0, high: 50 })).toEqual([Math.exp(1.2), 50]);
    const form = {
      kind: 'linear' as const,
      offset: 1,
      head: 2,
      epsilonSquared: -1,
      epsilon: { input: 0, output: 2 },
      low: 0.5,
      high: 4,
    };
    expect(values(form)).toEqual([0.5, 4]);
    // The mean of 0.2 and 6.75 before the limits.
    expect(values({ ...form, high: 9 }, true)).toEqual([3.475, 3.475]);
  });
});

describe('the summary', () => {
  it('has the mean in bits and its standard error', () => {
    const terms = boundTerms(
      linear,
      samplers['npr-ddpm'].family(linear, {}),
      { steps: 1, clip: 'none' },
      () => () => 0,
    );
    const nats = terms.map(() => Float64Array.of(1, 2, 3, 6).map((value) => value * 4 * Math.LN2));
    const { prior, total } = summarise('', terms, nats, 4);
    expect(prior).toMatchObject({ bits: 3, t: 1000 });
    // The deviation of 1, 2, 3, 6 is sqrt(14 / 3), that of the mean of four half of it.
    expect(prior.standardError).toBeCloseTo(Math.sqrt(14 / 3) / 2, 12);
    expect(total.bits).toBeCloseTo(3 * terms.length, 12);
  });

  it('is the same for images in a plain array', async () => {
    const terms = boundTerms(
      linear,
      samplers['npr-ddpm'].family(linear, {}),
      { steps: 3, clip: 'none' },
      () => (x) => x,
    );
    const { x0, epsilon } = gaussianPoints([0.1, 0.4]);
    const predict = gaussianPredictor(linear, [0.1, 0.4], x0, epsilon);
    expect(await evaluateTerms(terms, Array.from(x0), 2, predict)).toEqual(await evaluateTerms(terms, x0, 2, predict));
  });
});

describe('the decoder', () => {
  it('has an error function of full precision', () => {
    const known: [number, number][] = [
      [0, 1],
      [0.5, 0.4795001221869535],
      [1, 0.15729920705028513],
      [2, 0.004677734981047266],
      [3, 2.209049699858544e-5],
      [5, 1.5374597944280347e-12],
      [-1, 1.8427007929497148],
    ];
    for (const [x, value] of known) expect(Math.abs(erfc(x) / value - 1)).toBeLessThan(1e-12);
    expect(normalCdf(0)).toBe(0.5);
    expect(normalCdf(-40)).toBe(0);
    expect(normalCdf(40)).toBe(1);
  });

  it.each(['exact', 'tanh'] as const)('%s: bins sum to 1', (decoder) => {
    fc.assert(
      fc.property(
        fc.double({ min: -1.2, max: 1.2, noNaN: true }),
        fc.double({ min: 1e-3, max: 0.5, noNaN: true }),
        (mean, deviation) => {
          const sum = levels.reduce((total, x0) => total + binProbability(x0, mean, deviation, decoder), 0);
          expect(Math.abs(sum - 1)).toBeLessThan(1e-12);
        },
      ),
    );
  });

  it('loses no digits in either tail', () => {
    for (const distance of [4, 8, 12].map((deviations) => deviations * 0.02)) {
      const [above, below] = [distance, -distance].map((x0) => binProbability(x0, 0, 0.02, 'exact'));
      expect(above).toBe(below);
      expect(above).toBeGreaterThan(0);
    }
  });

  it('differs from the approximation by at most 3.4e-4 a bin', () => {
    const variance = decoderVariance(linear, 1);
    expect(variance).toBeCloseTo(5.453188e-5, 11);
    expect(decoderVariance(NoiseSchedule.cosine(), 1)).toBeCloseTo(2.17895e-5, 10);
    expect(decoderVariance(linear, 7)).toBe(linear.betaBar(7));
    const deviation = Math.sqrt(variance);
    expect(deviation / (2 / 255)).toBeCloseTo(0.94, 2);
    const differences = Array.from({ length: 41 }, (_, k) => ((k - 20) * 2) / 255 / 20).flatMap((mean) =>
      levels.map((x0) =>
        Math.abs(binProbability(x0, mean, deviation, 'exact') - binProbability(x0, mean, deviation, 'tanh')),
      ),
    );
    expect(Math.max(...differences)).toBeLessThan(3.5e-4);
    expect(Math.max(...differences)).toBeGreaterThan(3e-4);
  });

  it('is of levels, but for the rounding of float32', () => {
    const grid = [0, 1, 127, 255].map((level) => valueOfLevel(level, centredRange));
    for (const [off, isLevel] of [
      [9e-5, true],
      [-9e-5, true],
      [1.1e-4, false],
      [-1.1e-4, false],
    ] as const) {
      for (const value of grid) {
        const check = (): void => {
          checkGrid(Float32Array.of(0.2, value + off), 1, centredRange, [4, 7]);
        };
        if (isLevel) expect(check).not.toThrow(/image 7/);
        else expect(check).toThrow(/image 7 holds/);
      }
    }
  });

  it('has a floor', () => {
    expect(discretisedDecoder(1e-4, 'exact')(1, -1)).toBeCloseTo(-Math.log(1e-12), 12);
    expect(() => discretisedDecoder(1, 'logistic' as 'exact')).toThrow(/decoder 'logistic'/);
  });
});

describe('the bound on a quantised mixture', () => {
  /** The posterior mean and variance of 1-D data at -0.6 and 0.5, both of deviation 0.1, weights 0.3 and 0.7. */
  const modes = [
    { weight: 0.3, mean: -0.6, variance: 0.01 },
    { weight: 0.7, mean: 0.5, variance: 0.01 },
  ];
  const posterior = (t: number, x: number): { mean: number; variance: number } => {
    const [a, b] = [linear.alphaBar(t), linear.betaBar(t)];
    const parts = modes.map(({ weight, mean, variance }) => {
      const power = a * variance + b;
      const distance = x - Math.sqrt(a) * mean;
      return {
        log: Math.log(weight) - 0.5 * Math.log(power) - (0.5 * distance * distance) / power,
        mean: mean + ((Math.sqrt(a) * variance) / power) * distance,
        variance: (variance * b) / power,
      };
    });
    const most = Math.max(...parts.map(({ log }) => log));
    const weights = parts.map(({ log }) => Math.exp(log - most));
    const sum = weights.reduce((total, each) => total + each, 0);
    const average = (f: (part: (typeof parts)[number]) => number): number =>
      parts.reduce((total, part, i) => total + (weights[i]! / sum) * f(part), 0);
    const mean = average((part) => part.mean);
    return { mean, variance: average((part) => part.variance + part.mean ** 2) - mean ** 2 };
  };
  const count = 2000;
  const noise = (record: number): Float64Array => normals({ seed: [5, 0], sampleIndex: 0, record, draw: 0 }, count);
  const x0 = noise(0).map((z, i) => {
    const { mean } = modes[i % 10 < 3 ? 0 : 1]!;
    return (2 * Math.round((mean + 0.1 * z + 1) * 127.5)) / 255 - 1;
  });
  const predict = (t: number) => {
    const [a, b] = [linear.alphaBar(t), linear.betaBar(t)];
    const states = noise(t).map((z, i) => Math.sqrt(a) * x0[i]! + Math.sqrt(b) * z);
    const posteriors = Array.from(states, (x) => posterior(t, x));
    return Promise.resolve({
      states,
      out: states.map((x, i) => (x - Math.sqrt(a) * posteriors[i]!.mean) / Math.sqrt(b)),
      head: states.map((_, i) => (a / b) * posteriors[i]!.variance),
    });
  };
  const bits = async (family: ReverseFamily, steps: number): Promise<Likelihood> => {
    const decoder = (t: number): ElementTerm => discretisedDecoder(decoderVariance(linear, t), 'exact');
    const terms = boundTerms(linear, family, { steps, clip: 'static' }, decoder);
    return summarise('', terms, await evaluateTerms(terms, x0, 1, predict), 1);
  };

  it('orders the variances', async () => {
    const m = Float64Array.from({ length: 1001 }, () => 0);
    for (const t of [1, 112, 223, 334, 445, 556, 667, 778, 889, 1000]) {
      m[t] = (await predict(t)).out.reduce((sum, each) => sum + each * each, 0) / count;
    }
    const beta = await bits(samplers.ddpm.family(linear, { variance: 'beta' }), 10);
    const small = await bits(samplers.ddpm.family(linear, { variance: 'beta-tilde' }), 10);
    const analytic = await bits(samplers['analytic-ddpm'].family(linear, { gamma: m }), 10);
    const npr = await bits(samplers['npr-ddpm'].family(linear, {}), 10);
    expect(analytic.total.bits).toBeLessThan(beta.total.bits);
    expect(npr.total.bits).toBeLessThan(analytic.total.bits);
    expect(small.total.bits).toBeGreaterThan(beta.total.bits + 5);
    // The entropy of the data in bits: about 0.88 of the mode and 5.73 of its bins.
    expect(npr.total.bits).toBeGreaterThan(6.5);
    expect(analytic.total.standardError).toBeGreaterThan(0);
    expect(analytic.total.standardError).toBeLessThan(0.1);
    const sum = [analytic.prior, ...analytic.kl, analytic.decoder].reduce((total, term) => total + term.bits, 0);
    expect(sum).toBeCloseTo(analytic.total.bits, 12);
  });
});

describe('what has no bound', () => {
  it.each(['ddim', 'analytic-ddim', 'npr-ddim', 'sn-ddim', 'ocm-ddim'])('%s is refused as infinite', (name) => {
    expect(() => likelihoodSampler(name)).toThrow(/not Markov.*infinite; use one of ddpm/);
  });
  it.each([
    ['unipc', /no chain/],
    ['magic', /'magic' is unknown/],
  ])('%s is refused', (name, message) => {
    expect(() => likelihoodSampler(name)).toThrow(message);
    expect(() => likelihoodSampler(name)).toThrow(expect.objectContaining({ code: 'ERR_DPM_ARGUMENT' }));
  });
  it('nor continuous schedules', () => {
    const family = samplers.ddpm.family(linear, {});
    expect(() => boundTerms(NoiseSchedule.vp(), family, { steps: 3 }, () => () => 0)).toThrow(
      /discrete noise schedule/,
    );
  });
});
