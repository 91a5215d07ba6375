// Schedules of noise alone (VE, EDM) and preconditioned networks.
import { describe, expect, it } from 'vitest';

import { runProgram } from '../../../lib/run/run-program.js';
import { samplers, type SamplerName } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { parametrisation } from '../../../lib/schedule/prediction.js';
import { continuousGrid } from '../../../lib/schedule/trajectory.js';
import { maxDifference } from '../../support/golden.js';
import { asSteps, interpret } from '../../support/interpreter.js';
import { Mixture } from '../../support/mixture.js';

const edm = NoiseSchedule.edm();
const mixture = new Mixture([
  { weight: 0.4, mean: [-0.7], variance: [0.02] },
  { weight: 0.6, mean: [0.4], variance: [0.2] },
]);
const starts = Float64Array.from({ length: 7 }, (_, i) => 80 * (-1.5 + 0.5 * i));

function denoise(x: number, sigma: number): number {
  return mixture.posterior([x], { alphaBar: 1, betaBar: sigma * sigma }).mean[0]!;
}

/** The raw network F whose preconditioned denoiser is exact (Karras et al. 2022, equation 7). */
function rawNetwork(input: number, networkTime: number): number {
  const sigma = Math.exp(4 * networkTime);
  const total = sigma * sigma + 0.25;
  const x = input * Math.sqrt(total);
  return ((denoise(x, sigma) - (0.25 / total) * x) * Math.sqrt(total)) / (sigma * 0.5);
}

/** Karras et al. 2022, algorithm 1 without churn, on the denoiser itself. */
function referenceHeun(x: number, levels: number): number {
  const sigmas = Array.from(
    { length: levels },
    (_, i) => (80 ** (1 / 7) + (i / (levels - 1)) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7,
  );
  return [...sigmas, 0].reduce((state, sigma, i, all) => {
    const next = all[i + 1];
    if (next === undefined) return state;
    const slope = (state - denoise(state, sigma)) / sigma;
    const euler = state + (next - sigma) * slope;
    if (next === 0) return euler;
    return state + ((next - sigma) / 2) * (slope + (euler - denoise(euler, next)) / next);
  }, x);
}

describe('the EDM schedule', () => {
  it('has the noise as its time, and no signal decay', () => {
    expect(edm.discrete).toBe(false);
    expect([edm.noisiest, edm.cleanest, edm.initialScale(80)]).toEqual([80, 0.002, 80]);
    expect(edm.alphaBar(3)).toBe(1);
    expect(edm.betaBar(3)).toBe(9);
    expect(edm.betaBar(0)).toBe(0);
    expect(edm.betaBarBetween(3, 5)).toBe(16);
    expect(edm.timeOfLogSnr(edm.logSnr(0.37))).toBeCloseTo(0.37, 14);
    expect(edm.networkTime(Math.E)).toBeCloseTo(0.25, 14);
    expect(edm.diffusion(3)).toBe(6);
    expect(edm.rate(3)).toBe(0);
    expect(NoiseSchedule.ve().networkTime(3)).toBe(3);
  });

  it("has Karras' grid", () => {
    const grid = continuousGrid(edm, 17, 'karras', 80, 0.002);
    expect(grid).toHaveLength(18);
    grid.forEach((sigma, i) => {
      expect(sigma / (80 ** (1 / 7) + (i / 17) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7).toBeCloseTo(1, 12);
    });
  });

  it.each([
    [() => NoiseSchedule.edm({ sigmaMin: 3, sigmaMax: 2 }), /0 < sigmaMin < sigmaMax/],
    [() => NoiseSchedule.edm({ sigmaData: 0 }), /sigmaData is 0/],
    [() => NoiseSchedule.ve({ networkTime: 'index' }), /'index' has no meaning/],
    [() => NoiseSchedule.linear({ networkTime: 'edm' }), /'edm' has no meaning/],
    [() => samplers['analytic-ddpm'](edm, { steps: 4, gamma: new Float64Array(1001) }), /variance preserving/],
    [() => samplers.heun(edm, { steps: 4, tStart: 90 }), /tStart <= 80/],
    [() => samplers.ddim(edm, { steps: 4, timesteps: [3, 2] }), /discrete/],
  ])('refuses what has no meaning: %#', (make, message) => {
    expect(make).toThrow(message);
  });
});

describe('preconditioned networks', () => {
  it('are the same denoiser in both predictions and for any alpha', () => {
    for (const [alpha, sigma] of [
      [1, 0.3],
      [0.6, 0.8],
      [0.01, 0.99],
    ] as const) {
      const { data, noise, inputScale } = parametrisation('edm', alpha, sigma, 0.5);
      const [x, output] = [0.7, -0.4];
      const x0 = data.input * x + data.output * output;
      expect(noise.input * x + noise.output * output).toBeCloseTo((x - alpha * x0) / sigma, 12);
      // The network's input has unit variance for data of variance 0.25.
      expect(inputScale ** 2 * (alpha ** 2 * 0.25 + sigma ** 2)).toBeCloseTo(1, 12);
    }
  });

  it("sample with Heun as Karras' algorithm does", () => {
    const program = asSteps(samplers.heun(edm, { steps: 35 }));
    expect(program.records).toHaveLength(35);
    expect(program.initialScale).toBe(80);
    const result = interpret(program, { out: rawNetwork }, starts, () => []);
    expect(
      maxDifference(
        result,
        starts.map((x) => referenceHeun(x, 18)),
      ),
    ).toBeLessThan(1e-9);
  });

  it.each<[SamplerName, SamplerOptions]>([
    ['dpm-solver-3', { steps: 120 }],
    ['dpm-solver++-2m', { steps: 120, trajectory: 'logsnr', denoiseToZero: true }],
    ['dpm-solver++-2m', { steps: 120, trajectory: 'karras' }],
    ['unipc', { steps: 60, trajectory: 'karras' }],
    ['deis', { steps: 80, trajectory: 'karras' }],
    ['ddim', { steps: 900, trajectory: 'karras' }],
    ['probability-flow', { steps: 900, trajectory: 'karras' }],
  ])('%s %j comes to where Heun comes with many steps', (sampler, options) => {
    const exact = starts.map((x) => referenceHeun(x, 500));
    const result = interpret(asSteps(samplers[sampler](edm, options)), { out: rawNetwork }, starts, () => []);
    expect(maxDifference(result, exact)).toBeLessThan(0.01);
  });

  it.each<[SamplerName, number]>([
    ['dpm-solver++-2m', 40],
    ['dpm-solver++-3m', 40],
    ['unipc', 20],
    ['deis', 40],
    ['ddim', 200],
    ['probability-flow', 200],
  ])('%s comes there in %i evaluations by its defaults', (sampler, steps) => {
    const exact = starts.map((x) => referenceHeun(x, 500));
    const program = asSteps(samplers[sampler](edm, { steps }));
    expect(
      maxDifference(
        interpret(program, { out: rawNetwork }, starts, () => []),
        exact,
      ),
    ).toBeLessThan(0.06);
  });

  it('let the adaptive solver come there, too', async () => {
    const exact = starts.map((x) => referenceHeun(x, 500));
    const options = {
      shape: [starts.length, 1],
      init: Float32Array.from(starts),
      model: (x: Float32Array, t: number) => x.map((value) => rawNetwork(value, t)),
    };
    for (const order of [2, 3]) {
      const found = await runProgram(samplers['dpm-solver-adaptive'](edm, { order }), options);
      expect(maxDifference(found, exact)).toBeLessThan(0.06);
    }
  });

  it('run natively, and in host programs', async () => {
    const options = {
      shape: [starts.length, 1],
      init: Float32Array.from(starts),
      model: (x: Float32Array, t: number) => x.map((value) => rawNetwork(value, t)),
    };
    const exact = starts.map((x) => referenceHeun(x, 500));
    const native = await runProgram(samplers.heun(edm, { steps: 79 }), options);
    expect(maxDifference(native, exact)).toBeLessThan(0.01);
    const adaptive = await runProgram(samplers['probability-flow'](edm, { solver: 'rk45' }), options);
    // The run ends at the least noise, not at the data.
    expect(maxDifference(adaptive, exact)).toBeLessThan(0.01);
  });
});

describe('the VE schedule', () => {
  it('draws Gaussian data by its score', () => {
    const ve = NoiseSchedule.ve();
    const c = 0.3;
    const program = asSteps(samplers['dpm-solver-2m'](ve, { steps: 400, trajectory: 'logsnr' }));
    const [x] = interpret(program, { out: (state, sigma) => -state / (c + sigma * sigma) }, [50], () => []);
    expect(x! / (50 * Math.sqrt((c + 1e-4) / (c + 2500)))).toBeCloseTo(1, 4);
  });
});
