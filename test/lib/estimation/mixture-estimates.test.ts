// Gaussian mixtures in the plane and as images: score, Gamma and the posterior covariance are exact, and what is estimated
// from samples has to come within its Monte-Carlo error of them.
import { afterAll, describe, expect, it } from 'vitest';

import { Device } from '../../../lib/engine/device.js';
import type { ScriptedModel } from '../../../lib/estimation/estimated-model.js';
import { estimateGamma } from '../../../lib/estimation/gamma-estimate.js';
import { estimateErrors } from '../../../lib/estimation/likelihood/estimate-errors.js';
import { runProgram } from '../../../lib/run/run-program.js';
import { samplers, type SamplerName } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { jump } from '../../../lib/schedule/jump.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { parametrisation } from '../../../lib/schedule/prediction.js';
import { analyticVariance, headVariance } from '../../../lib/variance/reverse-variance.js';
import { Mixture, type Powers } from '../../support/mixture.js';
import { Random } from '../../support/random.js';

const schedule = NoiseSchedule.linear({ networkTime: 'index1' });
const device = Device.open({ device: 'cpu' });
afterAll(() => device.close());

const continuous = schedule.continuous();
const powers = (n: number): Powers => ({
  alphaBar: continuous.alphaBar(n / 1000),
  betaBar: continuous.betaBar(n / 1000),
});

/** Components whose means lie in a plane and whose variances are all the same: the rest is exact Gaussian noise. */
const plane = [
  { weight: 0.5, mean: [0.6, 0.1] },
  { weight: 0.3, mean: [-0.5, 0.4] },
  { weight: 0.2, mean: [-0.1, -0.7] },
];
const spread = 0.015;
const flat = new Mixture(plane.map((each) => ({ ...each, variance: [spread, spread] })));

/** The same mixture as images [1, 4, 4], its plane spanned by two orthonormal patterns. */
const side = 4;
const dimension = side * side;
const patterns = [0, 1].map((pattern) =>
  Float64Array.from({ length: dimension }, (_, i) =>
    (pattern === 0 ? i % side : Math.floor(i / side)) % 2 === 0 ? 0.25 : -0.25,
  ),
);
const images = new Mixture(
  plane.map(({ weight, mean }) => ({
    weight,
    mean: Array.from({ length: dimension }, (_, i) => mean[0]! * patterns[0]![i]! + mean[1]! * patterns[1]![i]!),
    variance: new Array<number>(dimension).fill(spread),
  })),
);

/** Means over x_n of functions of the plane's coordinates, by quadrature on a fine grid. */
function planeMean(n: number, value: (x: readonly number[]) => number): number {
  const { alphaBar, betaBar } = powers(n);
  const reach = 1 + 5 * Math.sqrt(alphaBar * spread + betaBar);
  // Two and a half a deviation of the narrowest: the sum's error is far below that of doubles.
  const nodes = 80;
  const step = (2 * reach) / nodes;
  let [sum, mass] = [0, 0];
  for (let i = 0; i <= nodes; ++i) {
    for (let j = 0; j <= nodes; ++j) {
      const x = [-reach + i * step, -reach + j * step];
      const density = plane.reduce((total, { weight, mean }) => {
        const distance = x.reduce((square, each, k) => square + (each - Math.sqrt(alphaBar) * mean[k]!) ** 2, 0);
        return total + weight * Math.exp(-distance / (2 * (alphaBar * spread + betaBar)));
      }, 0);
      sum += density * value(x);
      mass += density;
    }
  }
  return sum / mass;
}

/** m_n = B Gamma, exactly: the plane's part by quadrature, Gaussian in the other dimensions. */
function exactMoment(n: number, dimensions: number): number {
  const { alphaBar, betaBar } = powers(n);
  const inPlane = planeMean(n, (x) =>
    flat.epsilon(x, { alphaBar, betaBar }).reduce((total, each) => total + each * each, 0),
  );
  return (inPlane + ((dimensions - 2) * betaBar) / (alphaBar * spread + betaBar)) / dimensions;
}

const random = new Random(11);

function drawn(mixture: Mixture, count: number): Float32Array {
  const data = new Float32Array(count * mixture.dimension);
  for (let i = 0; i < count; ++i) {
    data.set(
      mixture.draw(
        () => random.unit(),
        () => random.normal(),
      ),
      i * mixture.dimension,
    );
  }
  return data;
}

function scripted(mixture: Mixture, sampleShape: ScriptedModel['sampleShape']): ScriptedModel {
  return {
    schedule,
    device,
    sampleShape,
    model(x, n) {
      const out = new Float32Array(x.length);
      const own = powers(n);
      for (let i = 0; i < x.length; i += mixture.dimension) {
        out.set(mixture.epsilon(x.subarray(i, i + mixture.dimension), own), i);
      }
      return out;
    },
  };
}

const timesteps = [20, 150, 400, 800];
const problems = [
  { name: 'in the plane', mixture: flat, shape: [1, 1, 2] as const, samples: 6000 },
  { name: 'as images', mixture: images, shape: [1, side, side] as const, samples: 1500 },
];

describe.each(problems)('a mixture $name', ({ mixture, shape, samples }) => {
  const model = scripted(mixture, shape);
  const data = drawn(mixture, samples);
  const elements = mixture.dimension;

  it('has the Gamma that is estimated', async () => {
    const { m } = await estimateGamma(model, data, { samples, seed: 5, timesteps, batch: 500 });
    for (const n of timesteps) {
      // eps has unit variance at most; its square's deviation is below 2.
      expect(Math.abs(m[n]! - exactMoment(n, elements)) * Math.sqrt(samples * elements)).toBeLessThan(4 * 2);
    }
  });

  it('has the posterior covariance that is estimated', async () => {
    // Off the 8-bit grid the decoder means nothing; the errors are those of any data.
    const grid = data.map((value) => Math.round((value + 1) * 127.5) / 127.5 - 1);
    const clipped = grid.map((value) => Math.min(Math.max(value, -1), 1));
    const { squaredError } = await estimateErrors(model, clipped, {
      samples,
      seed: 5,
      timesteps,
      batch: 500,
      clip: 'none',
    });
    for (const n of timesteps) {
      const { alphaBar, betaBar } = powers(n);
      const exact = (betaBar / alphaBar) * (1 - exactMoment(n, elements));
      // Rounding adds a variance of (2 / 255)^2 / 12 to the data.
      expect(Math.abs(squaredError[n]! / exact - 1)).toBeLessThan(5 * Math.sqrt(4 / (samples * elements)) + 0.01);
    }
  });
});

describe('estimates of a network behind the preconditioning of EDM', () => {
  const sigmaData = 0.4;
  const preconditioned = schedule.with({ defaults: { prediction: 'edm', sigmaData } });
  const model = scripted(flat, [1, 1, 2]);
  const predict: ScriptedModel['model'] = (scaled, n) => {
    const own = powers(n);
    const [alpha, sigma] = [Math.sqrt(own.alphaBar), Math.sqrt(own.betaBar)];
    const { data, inputScale } = parametrisation('edm', alpha, sigma, sigmaData);
    const states = scaled.map((value) => value / inputScale);
    const out = new Float32Array(states.length);
    for (let i = 0; i < out.length; i += 2) {
      const x = states.subarray(i, i + 2);
      flat.epsilon(x, own).forEach((noise, k) => {
        out[i + k] = ((x[k]! - sigma * noise) / alpha - data.input * x[k]!) / data.output;
      });
    }
    return out;
  };
  const edm: ScriptedModel = { ...model, schedule: preconditioned, model: predict };
  const options = { samples: 40, seed: 5, timesteps: [50, 400, 800], batch: 16 };
  const data = drawn(flat, 40);

  it('are those of the same noise prediction: Gamma', async () => {
    const [expected, found] = [await estimateGamma(model, data, options), await estimateGamma(edm, data, options)];
    for (const n of options.timesteps) expect(found.m[n]! / expected.m[n]!).toBeCloseTo(1, 4);
  });

  it('are those of the same noise prediction: errors', async () => {
    const grid = data.map((value) => Math.round((Math.min(Math.max(value, -1), 1) + 1) * 127.5) / 127.5 - 1);
    const [expected, found] = [await estimateErrors(model, grid, options), await estimateErrors(edm, grid, options)];
    for (const n of options.timesteps) {
      expect(found.squaredError[n]! / expected.squaredError[n]!).toBeCloseTo(1, 3);
      expect(found.decoder[n]! / expected.decoder[n]!).toBeCloseTo(1, 3);
    }
  });
});

describe('the optimal covariance with an imperfect mean', () => {
  it('is the second moment of x_s about the mean that is used', () => {
    const step = jump(schedule, { s: 200, t: 300 }, 1);
    const { alphaBar, betaBar } = powers(300);
    const x = [0.35, -0.2];
    const exact = flat.epsilon(x, powers(300));
    const used = exact.map((each, i) => each + 0.2 - 0.3 * i);
    const covariance = flat.posterior(x, powers(300)).covariance;
    const draws = 60_000;
    const shares = flat.responsibilities(x, powers(300));
    const sums = [0, 0];
    for (let draw = 0; draw < draws; ++draw) {
      let rest = random.unit();
      const k = shares.findIndex((share) => (rest -= share) < 0);
      const mean = plane[Math.max(k, 0)]!.mean;
      const total = alphaBar * spread + betaBar;
      for (const [i, state] of x.entries()) {
        const gain = (Math.sqrt(alphaBar) * spread) / total;
        const own = mean[i]! + gain * (state - Math.sqrt(alphaBar) * mean[i]!);
        const x0 = own + Math.sqrt((spread * betaBar) / total) * random.normal();
        const sample = step.sensitivity * x0 + step.stateScale * state + Math.sqrt(step.baseVariance) * random.normal();
        const predicted = (state - Math.sqrt(betaBar) * used[i]!) / Math.sqrt(alphaBar);
        sums[i]! += (sample - step.sensitivity * predicted - step.stateScale * state) ** 2;
      }
    }
    for (const i of [0, 1]) {
      const square = exact[i]! ** 2 + (alphaBar / betaBar) * covariance[i]!;
      const target = square - 2 * exact[i]! * used[i]! + used[i]! ** 2;
      const { offset, head } = headVariance('npr', step, { input: 0, output: 1 });
      expect(Math.abs(sums[i]! / draws / (offset + head * target) - 1)).toBeLessThan(5 * Math.sqrt(2 / draws));
    }
  });
});

describe('samples of the mixture in the plane', () => {
  const count = 8000;
  const knots = [1, ...Array.from({ length: 100 }, (_, i) => 10 * (i + 1))];
  const exact = knots.map((n) => exactMoment(n, 2));
  // Linear between the knots, as estimated tables are.
  const gamma = Float64Array.from({ length: 1001 }, (_, n) => {
    const right = Math.max(
      knots.findIndex((knot) => knot >= n),
      1,
    );
    const [low, high] = [knots[right - 1]!, knots[right]!];
    return n === 0 ? 0 : exact[right - 1]! + ((n - low) / (high - low)) * (exact[right]! - exact[right - 1]!);
  });

  async function momentsOf(sampler: SamplerName, options: SamplerOptions): Promise<number[]> {
    const x = await runProgram(samplers[sampler](schedule, { clip: 'none', ...options }), {
      device,
      shape: [count, 2],
      seed: 2,
      model(states, n) {
        const out = new Float32Array(states.length);
        const head = new Float32Array(states.length);
        const { alphaBar, betaBar } = powers(n);
        for (let i = 0; i < states.length; i += 2) {
          const posterior = flat.posterior(states.subarray(i, i + 2), { alphaBar, betaBar });
          posterior.mean.forEach((mean, k) => {
            out[i + k] = (states[i + k]! - Math.sqrt(alphaBar) * mean) / Math.sqrt(betaBar);
            head[i + k] = (alphaBar / betaBar) * posterior.covariance[k]!;
          });
        }
        return { out, head };
      },
    });
    const mean = [0, 1].map((k) => x.reduce((sum, value, i) => (i % 2 === k ? sum + value : sum), 0) / count);
    const squares = [0, 1].map((k) => x.reduce((sum, value, i) => (i % 2 === k ? sum + value ** 2 : sum), 0) / count);
    return [...mean, ...squares.map((square, k) => square - mean[k]! ** 2)];
  }

  const exactMean = [0, 1].map((k) => plane.reduce((sum, { weight, mean }) => sum + weight * mean[k]!, 0));
  const exactVariance = [0, 1].map(
    (k) => spread + plane.reduce((sum, { weight, mean }) => sum + weight * mean[k]! ** 2, 0) - exactMean[k]! ** 2,
  );

  it.each<[SamplerName, Omit<SamplerOptions, 'gamma'>]>([
    ['npr-ddpm', { steps: 60 }],
    ['analytic-ddpm', { steps: 60 }],
    ['npr-ddim', { steps: 60 }],
    ['dpm-solver++-2m-sde', { steps: 60, trajectory: 'logsnr' }],
    ['unipc', { steps: 25, order: 3, trajectory: 'logsnr' }],
    ['dpm-solver-3', { steps: 30 }],
  ])('%s %j have its mean and covariance', async (sampler, given) => {
    const isReverse = sampler.endsWith('ddpm') || sampler.endsWith('ddim');
    const found = await momentsOf(
      sampler,
      isReverse ? { ...given, ...(sampler.startsWith('analytic') && { gamma }), lastNoiseClip: null } : given,
    );
    const errors = 4 / Math.sqrt(count);
    for (const k of [0, 1]) {
      expect(Math.abs(found[k]! - exactMean[k]!)).toBeLessThan(errors * Math.sqrt(exactVariance[k]!) + 0.01);
      expect(Math.abs(found[2 + k]! / exactVariance[k]! - 1)).toBeLessThan(errors * Math.SQRT2 + 0.03);
    }
  });
});

describe('the analytic variance of the mixture', () => {
  it('is the mean over x_t of the exact conditional variance', () => {
    for (const n of [100, 400, 900]) {
      const step = jump(schedule, { s: n - 60, t: n }, 1);
      const own = powers(n);
      const conditional = planeMean(n, (x) => {
        const { covariance } = flat.posterior(x, own);
        return step.baseVariance + (step.sensitivity ** 2 * (covariance[0]! + covariance[1]!)) / 2;
      });
      expect(analyticVariance(step, exactMoment(n, 2), Infinity) / conditional).toBeCloseTo(1, 6);
    }
  });
});
