// The sampler full-ddpm beside those that it comes to where covariances are simple, its options, and what it asks a network for.
import { afterAll, describe, expect, it } from 'vitest';

import { Device } from '../../../lib/engine/device.js';
import { runProgram } from '../../../lib/run/run-program.js';
import { samplers } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { levelJump } from '../../../lib/schedule/jump.js';
import { dataLevel, levelOf } from '../../../lib/schedule/noise-level.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { exactEvaluator, runExact, type Differentiable } from '../../support/exact-derivatives.js';
import { exactSlope, moments } from '../../support/gaussian.js';
import { maxDifference } from '../../support/golden.js';
import { normals } from '../../support/philox.js';

const linear = NoiseSchedule.linear({ networkTime: 'index1' });
const device = Device.open({ device: 'cpu', threads: 1 });
afterAll(() => device.close());

const seed = 4;
const states = [
  [1.2, -0.4, 0.3, -2.1],
  [0.1, 0.9, -1.7, 0.6],
];

type Matrix = number[][];
const times = (matrix: Matrix, v: number[]): number[] =>
  matrix.map((row) => row.reduce((sum, value, i) => sum + value * v[i]!, 0));
const transposeOf = (matrix: Matrix): Matrix => matrix.map((row, i) => row.map((_, j) => matrix[j]![i]!));

/** A network of x_0 that is linear. */
const linearNetwork =
  (matrix: Matrix): Differentiable =>
  (x, _, v, transposed) => ({ out: times(matrix, x), along: times(transposed ? transposeOf(matrix) : matrix, v) });

/** A network of x_0 that knows the data: there is no covariance of it. */
const known: Differentiable = (x, _, v) => ({ out: x.map((_0, i) => 1.4 - 0.7 * i), along: v.map(() => 0) });

/** Computes the result of a sampler that compiles to steps from the same states. */
async function stepped(
  sampler: 'ddpm' | 'analytic-ddpm',
  network: Differentiable,
  options: SamplerOptions,
  schedule = linear,
): Promise<number[][]> {
  const found = await runProgram(samplers[sampler](schedule, options), {
    device,
    shape: [states.length, 4],
    init: Float32Array.from(states.flat()),
    seed,
    model: (x, t) =>
      Float32Array.from(
        states.flatMap((_, n) => network([...x.subarray(4 * n, 4 * n + 4)], t, [0, 0, 0, 0], false).out),
      ),
  });
  return states.map((_, n) => [...found.subarray(4 * n, 4 * n + 4)]);
}

const full = (network: Differentiable, options: SamplerOptions, schedule = linear): Promise<number[][]> =>
  runExact(device, samplers['full-ddpm'](schedule, options), network, { states, seed });

describe('full-ddpm of data that is known', () => {
  const levels = [
    { alpha: 0.3, sigma: 0.9, time: 700 },
    { alpha: 0.7, sigma: 0.6, time: 300 },
    { alpha: 0.9, sigma: 0.1, time: 20 },
    dataLevel,
  ];

  it.each<SamplerOptions>([
    { steps: 5 },
    { steps: 5, clip: 'none' },
    { steps: 5, clip: 'static' },
    { steps: 5, trajectory: 'quadratic' },
    { steps: 5, tStart: 700, tEnd: 30 },
    { timesteps: [900, 500, 3] },
    { steps: 4, end: 'first' },
    { steps: 4, finalNoise: true },
    { levels },
    { levels, lastNoiseClip: null },
    { levels, lastNoiseClip: 0.5 },
    { levels, lastNoiseClip: 0 },
  ])('is ddpm with the variance beta-tilde: %j', async (options) => {
    const common = { ...options, prediction: 'x0' } as const;
    const expected = await stepped('ddpm', known, { lastNoiseClip: 2, ...common, variance: 'beta-tilde' });
    for (const own of [{}, { symmetric: true }, { diagonal: 1 }]) {
      const found = await full(known, { ...common, ...own });
      expect(maxDifference(found.flat(), expected.flat())).toBeLessThan(1e-5);
    }
  });

  it('limits the last noise by the grey levels of the data’s width', async () => {
    const schedule = NoiseSchedule.linear({ networkTime: 'index1', defaults: { dataRange: [0, 1] } });
    const common = { levels: levels.slice(0, 3), clip: 'none', prediction: 'x0', lastNoiseClip: 2 } as const;
    const expected = await stepped('ddpm', known, { ...common, variance: 'beta-tilde' }, schedule);
    const found = await full(known, common, schedule);
    expect(maxDifference(found.flat(), expected.flat())).toBeLessThan(1e-5);
  });

  it.each(['edm', 've'] as const)('on schedules of noise alone: %s', async (name) => {
    const schedule = name === 'edm' ? NoiseSchedule.edm() : NoiseSchedule.ve();
    const scaled: Differentiable = (x, time, v) => {
      const sigma = Math.exp(4 * time);
      const [skip, out, scale] = [
        0.25 / (sigma ** 2 + 0.25),
        (sigma * 0.5) / Math.hypot(sigma, 0.5),
        1 / Math.hypot(sigma, 0.5),
      ];
      const data = known(x, time, v, false).out;
      return {
        out: x.map((value, i) => (data[i]! - (skip * value) / scale) / out),
        along: v.map((value) => (-skip * value) / scale / out),
      };
    };
    const [network, prediction] = name === 'edm' ? ([scaled, 'edm'] as const) : ([known, 'x0'] as const);
    // No step to the data, which would shrink the noise before it, and none where the input is scaled down: what a derivative lacks
    // would be less than no variance.
    const interval = { steps: 2, tStart: 0.6, tEnd: 0.1, end: 'first' } as const;
    const common = { ...interval, clip: 'none', prediction, lastNoiseClip: null } as const;
    const expected = await stepped('ddpm', network, { ...common, variance: 'beta-tilde' }, schedule);
    for (const own of [{}, { symmetric: true }, { diagonal: 2 }]) {
      const found = await full(network, { ...common, ...own }, schedule);
      expect(maxDifference(found.flat(), expected.flat())).toBeLessThan(2e-4);
    }
  });
});

describe('full-ddpm of Gaussian data without correlations', () => {
  // Data of variance 9 is wider than the schedule's, which limits both variances.
  it.each([
    [0.25, 'x0', 1e-5],
    [0.25, 'v', 1e-5],
    [0.25, 'epsilon', 1e-4],
    [9, 'x0', 1e-5],
  ] as const)('of variance %d is analytic-ddpm, from %s', async (c, prediction, tolerance) => {
    const network: Differentiable = (x, n, v) => {
      const slope = exactSlope(linear, n, c, prediction);
      return { out: x.map((value) => slope * value), along: v.map((value) => slope * value) };
    };
    const common = { steps: 6, clip: 'none', prediction } as const;
    const expected = await stepped('analytic-ddpm', network, { ...common, gamma: moments(linear, c) });
    for (const own of [{ lanczosSteps: 1 }, {}, { diagonal: 1 }]) {
      const found = await full(network, { ...common, ...own });
      expect(maxDifference(found.flat(), expected.flat())).toBeLessThan(tolerance * Math.max(1, c));
    }
  });
});

describe('one step of full-ddpm', () => {
  const [from, to] = [
    { alpha: 0.4, sigma: 0.8, time: 600 },
    { alpha: 0.8, sigma: 0.5 },
  ];
  const { stateScale, sensitivity, posteriorVariance, sigmaT, alphaT } = levelJump(
    linear,
    levelOf(linear, from),
    to,
    1,
  );
  const scale = (sensitivity * sigmaT) ** 2 / alphaT;
  const common = { levels: [from, to], clip: 'none', prediction: 'x0', lastNoiseClip: null } as const;
  const matrix = [
    [0.3, 0.2, -0.1, 0.1],
    [0, 0.25, 0.15, -0.1],
    [0.1, 0, 0.2, 0.1],
    [-0.1, 0.05, 0, 0.3],
  ];
  const symmetric = matrix.map((row, i) => row.map((value, j) => (value + matrix[j]![i]!) / 2));

  it('averages the derivative with its transpose only where it is to', async () => {
    const options = { ...common, lanczosSteps: 2 };
    const averaged = await full(linearNetwork(matrix), { ...options, symmetric: true });
    const alone = await full(linearNetwork(matrix), options);
    const means = (network: Matrix) => states.map((x) => times(network, x));
    const expected = await full(linearNetwork(symmetric), options);
    const moved = expected.map((sample, n) =>
      sample.map((value, i) => value + sensitivity * (means(matrix)[n]![i]! - means(symmetric)[n]![i]!)),
    );
    expect(maxDifference(averaged.flat(), moved.flat())).toBeLessThan(1e-5);
    expect(maxDifference(averaged.flat(), alone.flat())).toBeGreaterThan(1e-4);
  });

  it('estimates the diagonal by signs of draws of their own', async () => {
    const wide = matrix.map((row, i) => row.map((value, j) => (i === j && i > 1 ? (i === 2 ? 9 : -9) : value)));
    const found = await full(linearNetwork(wide), { ...common, diagonal: 3 });
    found.forEach((sample, sampleIndex) => {
      const drawn = (draw: number): number[] => [...normals({ seed: [seed, 0], sampleIndex, record: 0, draw }, 4)];
      const probes = [1, 2, 3].map((draw) => drawn(draw).map(Math.sign));
      const products = probes.map((probe) => times(wide, probe).map((value, i) => (value * probe[i]!) / 3));
      const mean = times(wide, states[sampleIndex]!);
      const expected = drawn(0).map((z, i) => {
        const covariance = products.reduce((sum, product) => sum + scale * product[i]!, 0);
        const variance = posteriorVariance + Math.min(Math.max(covariance, 0), sensitivity ** 2);
        return stateScale * states[sampleIndex]![i]! + sensitivity * mean[i]! + Math.sqrt(variance) * z;
      });
      expect(maxDifference(sample, expected)).toBeLessThan(1e-5);
    });
  });

  it('has no direction of less than the posterior variance', async () => {
    const negative = matrix.map((row, i) => row.map((_, j) => (i === j ? -2 : 0)));
    const found = await full(linearNetwork(negative), common);
    found.forEach((sample, sampleIndex) => {
      const z = normals({ seed: [seed, 0], sampleIndex, record: 0, draw: 0 }, 4);
      const expected = states[sampleIndex]!.map(
        (value, i) => (stateScale - 2 * sensitivity) * value + Math.sqrt(posteriorVariance) * z[i]!,
      );
      expect(maxDifference(sample, expected)).toBeLessThan(1e-5);
    });
  });

  it('and a whole chain take as many derivatives as they say', async () => {
    const calls = async (options: SamplerOptions) => {
      const evaluator = exactEvaluator(linearNetwork(matrix));
      const program = samplers['full-ddpm'](linear, { steps: 3, prediction: 'x0', ...options });
      await runExact(device, program, evaluator, { states });
      const { evaluate, pushForward, pullBack } = evaluator.calls;
      return [evaluate, pushForward, pullBack];
    };
    // Two of three steps have noise; the last one evaluates.
    expect(await calls({})).toEqual([1, 6, 0]);
    expect(await calls({ lanczosSteps: 2 })).toEqual([1, 4, 0]);
    expect(await calls({ lanczosSteps: 2, symmetric: true })).toEqual([1, 4, 4]);
    expect(await calls({ diagonal: 5 })).toEqual([1, 10, 0]);
    expect(await calls({ finalNoise: true })).toEqual([0, 9, 0]);
    // Four elements have no space of more dimensions.
    expect(await calls({ lanczosSteps: 20 })).toEqual([1, 8, 0]);
  });
});

describe('options of full-ddpm', () => {
  it.each<[object, RegExp]>([
    [{ lanczosSteps: 0 }, /lanczosSteps is 0, it has to be an integer from 1 to 20/],
    [{ lanczosSteps: 21 }, /lanczosSteps is 21/],
    [{ diagonal: 0 }, /diagonal is 0, it has to be an integer from 1 to 1000/],
    [{ diagonal: 1001 }, /diagonal is 1001/],
    [{ symmetric: 1 }, /symmetric has to be true or false/],
    [{ finalNoise: 'yes' }, /finalNoise has to be true or false/],
    [{ diagonal: 2, lanczosSteps: 3 }, /diagonal already says what lanczosSteps would/],
    [{ diagonal: 2, symmetric: true }, /diagonal already says what symmetric would/],
    [{ lastNoiseClip: -1 }, /lastNoiseClip is -1/],
    [{ eta: 0.5 }, /no option 'eta'/],
  ])('%j are refused', (options, message) => {
    const compile = () => samplers['full-ddpm'](linear, { steps: 4, ...options });
    expect(compile).toThrow(message);
    expect(compile).toThrow(expect.objectContaining({ code: 'ERR_DPM_ARGUMENT' }));
  });

  it('start where a state says something of the data', () => {
    const zeroSnr = NoiseSchedule.linear({ rescaleBetasZeroSnr: true, defaults: { prediction: 'v' } });
    const compile = (options: SamplerOptions) => samplers['full-ddpm'](zeroSnr, options);
    expect(() => compile({ steps: 4 })).toThrow(/no covariance where a state is noise alone.*tStart/);
    expect(compile({ steps: 4, tStart: 999 }).kind).toBe('host');
    // Covariance needs noise.
    expect(compile({ levels: [{ alpha: 0, sigma: 1, time: 999 }, dataLevel] }).kind).toBe('host');
  });

  it('begin with the noise of the first level', () => {
    const edm = NoiseSchedule.edm();
    const scaleOf = (options: SamplerOptions) => samplers['full-ddpm'](edm, options).initialScale;
    expect([scaleOf({ steps: 3 }), scaleOf({ steps: 3, initialScale: 7 })]).toEqual([80, 7]);
  });
});
