// Samplers that decide on their way: adaptive steps, correctors, averaged covariances.
import { describe, expect, it } from 'vitest';

import type { Program } from '../../../lib/program/program.js';
import { runProgram } from '../../../lib/run/run-program.js';
import { samplers } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { dataLevel, noiseLevel } from '../../../lib/schedule/noise-level.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { transitions } from '../../../lib/schedule/trajectory.js';
import { maxDifference } from '../../support/golden.js';
import { asSteps, interpret } from '../../support/interpreter.js';
import { orderProblem } from '../../support/mixture.js';

const schedule = NoiseSchedule.vp();
const starts = Float32Array.from({ length: 9 }, (_, i) => -2.2 + 0.55 * i);

const powers = (time: number) => ({ alphaBar: schedule.alphaBar(time), betaBar: schedule.betaBar(time) });

function epsilon(x: number, networkTime: number): number {
  return orderProblem.epsilon([x], powers(networkTime / 999))[0]!;
}

/** Runs with every start as a sample of its own (`rows`) or all as one; counts evaluations of the batch. */
async function run(program: Program, rows = true, init = starts): Promise<{ x: Float32Array; evaluations: number }> {
  let evaluations = 0;
  const x = await runProgram(program, {
    shape: rows ? [init.length, 1] : [1, init.length],
    init,
    model(state, t) {
      ++evaluations;
      return state.map((value) => epsilon(value, t));
    },
  });
  return { x, evaluations };
}

/** The probability flow to 1e-3, by a solver of order 4 with many steps. */
const reference = interpret(
  asSteps(samplers.unipc(schedule, { steps: 600, order: 3, trajectory: 'logsnr', lowerOrderFinal: false })),
  { out: epsilon },
  starts,
  () => [],
);

function error(x: ArrayLike<number>): number {
  return Math.sqrt(Array.from(x).reduce((sum, value, i) => sum + (value - reference[i]!) ** 2, 0) / x.length);
}

describe('adaptive DPM-Solver', () => {
  it.each([
    [2, 64, 1.2e-2],
    [3, 36, 1.0e-2],
  ])('order %i takes %i evaluations where all starts are one sample', async (order, evaluations, rms) => {
    const found = await run(samplers['dpm-solver-adaptive'](schedule, { order }), false);
    expect(Math.abs(found.evaluations - evaluations)).toBeLessThanOrEqual(order);
    expect(error(found.x) / rms).toBeCloseTo(1, 0);
  });

  it.each([2, 3])('of order %i errs less with smaller tolerances', async (order) => {
    const errors: number[] = [];
    for (const rtol of [0.5, 0.05, 0.005]) {
      const options: SamplerOptions = { order, rtol, atol: (0.0078 * rtol) / 0.05 };
      errors.push(error((await run(samplers['dpm-solver-adaptive'](schedule, options), false)).x));
    }
    expect(errors[1]).toBeLessThan(errors[0]!);
    expect(errors[2]).toBeLessThan(errors[1]!);
    expect(errors[2]).toBeLessThan(5e-3);
  });

  it('gives each sample its own steps, or all the steps of the worst', async () => {
    const own = samplers['dpm-solver-adaptive'](schedule, {});
    const together = await run(own);
    for (const [i, start] of starts.entries()) {
      const alone = await run(own, true, Float32Array.of(start));
      expect(alone.x[0]).toBeCloseTo(together.x[i]!, 5);
    }
    const shared = samplers['dpm-solver-adaptive'](schedule, { batchNorm: 'reference' });
    const [pair, single] = [await run(shared, true, starts), await run(shared, true, starts.subarray(4, 5))];
    expect(Math.abs(pair.x[4]! - single.x[0]!)).toBeGreaterThan(1e-5);
  });
});

describe('RK45 on the probability flow', () => {
  it('comes within its tolerance, with fewer evaluations for a larger one', async () => {
    const fine = await run(samplers['probability-flow'](schedule, { solver: 'rk45' }), false);
    const coarse = await run(samplers['probability-flow'](schedule, { solver: 'rk45', rtol: 1e-3, atol: 1e-3 }), false);
    expect(error(fine.x)).toBeLessThan(2e-4);
    expect(coarse.evaluations).toBeLessThan(fine.evaluations);
    // The first slope, one for the size of the first step, and six a step.
    expect((fine.evaluations - 2) % 6).toBe(0);
  });

  it('ends every sample at the end, whatever steps it takes', async () => {
    const program = samplers['probability-flow'](schedule, { solver: 'rk45' });
    expect(error((await run(program)).x)).toBeLessThan(2e-4);
    expect(
      error((await run(samplers['probability-flow'](schedule, { solver: 'rk45', batchNorm: 'reference' }))).x),
    ).toBeLessThan(2e-4);
  });
});

describe('predictor-corrector', () => {
  const count = 40_000;
  const c = 0.25;

  it('takes two evaluations a step and leaves the variance of Gaussian data', async () => {
    let evaluations = 0;
    const x = await runProgram(samplers['predictor-corrector'](schedule, { steps: 401 }), {
      shape: [10, count / 10],
      seed: 3,
      model(state, t) {
        ++evaluations;
        const { alphaBar, betaBar } = powers(t / 999);
        const slope = Math.sqrt(betaBar) / (alphaBar * c + betaBar);
        return state.map((value) => slope * value);
      },
    });
    expect(evaluations).toBe(400);
    const variance = x.reduce((sum, value) => sum + value * value, 0) / count;
    expect(variance / c).toBeGreaterThan(0.9);
    expect(variance / c).toBeLessThan(1.1);
  });

  it.each([
    [0, 5, 5],
    [2, 9, 9],
    [2, 11, 9],
  ])('with %d corrections for %d steps takes %d evaluations', async (correctorSteps, steps, evaluations) => {
    const found = await run(samplers['predictor-corrector'](schedule, { steps, correctorSteps }));
    expect(found.evaluations).toBe(evaluations);
    expect(() => samplers['predictor-corrector'](schedule, { steps: correctorSteps, correctorSteps })).toThrow(
      `needs at least ${correctorSteps + 1} evaluations`,
    );
  });

  it('takes the levels of its times one by one', async () => {
    const times = transitions(schedule, { steps: 5 }).map(({ t }) => t);
    const levels = [
      ...times.map((time) => {
        const { alpha, sigma, networkTime } = noiseLevel(schedule, time);
        return { alpha, sigma, time: networkTime };
      }),
      dataLevel,
    ];
    const own = await run(samplers['predictor-corrector'](schedule, { steps: 10 }));
    const given = await run(samplers['predictor-corrector'](schedule, { levels }));
    expect(maxDifference(given.x, own.x)).toBeLessThan(1e-5);
  });

  it('begins with the noise of its first level', () => {
    const edm = NoiseSchedule.edm();
    const scaleOf = (options: SamplerOptions): number => samplers['predictor-corrector'](edm, options).initialScale;
    const levels = [{ alpha: 1, sigma: 40, time: 0.9 }, dataLevel];
    expect([scaleOf({ levels }), scaleOf({ levels, initialScale: 3 })]).toEqual([40, 3]);
    expect([scaleOf({ steps: 4 }), scaleOf({ steps: 4, tStart: 5 })]).toEqual([80, 5]);
  });

  it('leaves a state without a gradient to the predictor', async () => {
    const x = await runProgram(samplers['predictor-corrector'](schedule, { steps: 6 }), {
      shape: [2, 3],
      seed: 2,
      model: (state) => new Float32Array(state.length),
    });
    expect(x.every(Number.isFinite)).toBe(true);
  });

  it('depends on the batch only where its norms are to be shared', async () => {
    const alone = (batchNorm: 'sample' | 'reference', batch: number) =>
      runProgram(samplers['predictor-corrector'](schedule, { steps: 8, batchNorm }), {
        shape: [batch, 50],
        seed: 4,
        model: (state, t) => state.map((value) => epsilon(value, t)),
      });
    const first = (x: Float32Array) => x.slice(0, 50);
    expect(first(await alone('sample', 3))).toEqual(await alone('sample', 1));
    expect(maxDifference(first(await alone('reference', 3)), await alone('reference', 1))).toBeGreaterThan(1e-4);
  });
});

describe('avgCov', () => {
  const discrete = NoiseSchedule.linear({ networkTime: 'index1' });
  const elements = 12;
  const head = (x: number, t: number): number => 0.5 + 0.3 * Math.sin(x + 0.003 * t);
  const out = (x: number, t: number): number => 0.8 * Math.tanh(x) + 0.0001 * t;
  const init = Float32Array.from({ length: elements }, (_, i) => -1.5 + 0.27 * i);
  const noise = Array.from({ length: 9 }, (_, r) => init.map((_, i) => Math.sin(7 * i + r)));

  it.each(['npr-ddpm', 'sn-ddim'] as const)('%s uses the mean covariance of the sample', async (sampler) => {
    const options = { steps: 10, clip: 'static' } as const;
    const model = (x: Float32Array, t: number) => ({ out: x.map((v) => out(v, t)), head: x.map((v) => head(v, t)) });
    const x = await runProgram(samplers[sampler](discrete, { ...options, avgCov: true }), {
      shape: [1, elements],
      init,
      noise,
      model,
    });
    // The same program whose head is replaced by what makes every element's covariance the mean of all.
    const averaged = asSteps(samplers[sampler](discrete, options)).records.map((record) => ({ ...record }));
    let state: Float64Array = Float64Array.from(init);
    for (const [i, record] of averaged.entries()) {
      const predictions = state.map((v) => out(v, record.time));
      const mean = (values: Float64Array): number => values.reduce((sum, v) => sum + v, 0) / elements;
      const heads = mean(state.map((v) => head(v, record.time)));
      const squares = mean(predictions.map((v) => v * v));
      const { variance } = record;
      if (variance.kind === 'linear') {
        const value = variance.offset + variance.head * heads + variance.epsilonSquared * squares;
        const limited = Math.min(Math.max(value, variance.low), variance.high);
        record.variance = { kind: 'scalar', deviation: Math.sqrt(limited) };
      }
      state = interpret(
        { kind: 'step', records: [record], history: 1, initialScale: 1, head: null },
        { out },
        state,
        () => noise[i]!,
      );
    }
    expect(maxDifference(x, state)).toBeLessThan(1e-5);
  });
});
