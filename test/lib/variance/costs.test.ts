import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

import { decoderVariance } from '../../../lib/estimation/likelihood/bound.js';
import { estimateErrors } from '../../../lib/estimation/likelihood/estimate-errors.js';
import { estimateLikelihood } from '../../../lib/estimation/likelihood/estimate.js';
import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { writeSafetensors } from '../../../lib/files/tensor-data.js';
import { DiffusionModel } from '../../../lib/model.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { optimalTrajectory, type JumpCosts } from '../../../lib/schedule/optimal-trajectory.js';
import { discreteTimes } from '../../../lib/schedule/trajectory.js';
import { analyticCosts, fixedVarianceCosts } from '../../../lib/variance/costs.js';
import {
  parseErrorTable,
  readErrorTable,
  writeErrorTable,
  type ErrorTable,
} from '../../../lib/variance/error-table.js';
import { inModelSpace, strokes } from '../../support/digits.js';
import { dpm } from '../../support/dpm.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();
const linear = NoiseSchedule.linear();
const mnist = packagePath('models/mnist');

/** Costs from a matrix of numbers, row t, column s. */
function matrixCosts(matrix: readonly number[], size: number, first: 0 | 1): JumpCosts {
  return { first, cost: (s, t) => matrix[t * size + s]! };
}

/** Computes the cost of a path of times, with the jump into the data if it has a cost. */
function pathCost(costs: JumpCosts, times: readonly number[]): number {
  const nodes = costs.first === 0 ? [0, ...times] : times;
  return nodes.slice(1).reduce((sum, t, i) => sum + costs.cost(nodes[i]!, t), 0);
}

/** All increasing sequences of `count` times that end at `last` and, where they have to, begin at 1. */
function allPaths(count: number, last: number, first: 0 | 1): number[][] {
  const choose = (from: number, rest: number): number[][] =>
    rest === 0
      ? [[last]]
      : Array.from({ length: Math.max(last - from, 0) }, (_, i) => from + i).flatMap((n) =>
          choose(n + 1, rest - 1).map((path) => [n, ...path]),
        );
  const paths = choose(1, count - 1);
  return first === 0 ? paths : paths.filter(([n]) => n === 1);
}

describe('optimal trajectories', () => {
  it.each([0, 1] as const)('are the best of all paths: first = %i', (first) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 7 }).chain((last) =>
          fc.record({
            last: fc.constant(last),
            count: fc.integer({ min: 2, max: last }),
            matrix: fc.array(fc.double({ min: -5, max: 5, noNaN: true }), {
              minLength: (last + 1) ** 2,
              maxLength: (last + 1) ** 2,
            }),
          }),
        ),
        ({ last, count, matrix }) => {
          const costs = matrixCosts(matrix, last + 1, first);
          const path = optimalTrajectory(costs, count, last);
          const best = Math.min(...allPaths(count, last, first).map((each) => pathCost(costs, each)));
          expect(path).toHaveLength(count);
          expect(path.at(-1)).toBe(last);
          expect(pathCost(costs, path)).toBeCloseTo(best, 12);
        },
      ),
    );
  });

  it('take the earlier of two times that cost the same', () => {
    expect(optimalTrajectory({ first: 1, cost: () => 1 }, 3, 10)).toEqual([1, 2, 10]);
    expect(optimalTrajectory({ first: 0, cost: () => 1 }, 3, 10)).toEqual([1, 2, 10]);
  });

  it.each([0, 1] as const)('of all times are all times: first = %i', (first) => {
    const matrix = Array.from({ length: 441 }, (_, i) => Math.sin(i));
    const all = Array.from({ length: 20 }, (_, i) => i + 1);
    expect(optimalTrajectory(matrixCosts(matrix, 21, first), 20, 20)).toEqual(all);
  });
});

describe('the costs of all jumps', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('are refused where they take more than half of the memory', () => {
    // Half of 2 MiB: 128 K doubles.
    vi.stubEnv('DPM_MEMORY', String(2 / 2 ** 10));
    const costs: JumpCosts = { first: 0, cost: (s, t) => t - s };
    expect(optimalTrajectory(costs, 1, 361)).toEqual([361]);
    const refused = { code: 'ERR_DPM_OUT_OF_MEMORY', message: expect.stringMatching(/^last is 362: /) as string };
    expect(() => optimalTrajectory(costs, 1, 362)).toThrow(expect.objectContaining(refused) as Error);
  });
});

describe('trajectories beyond the times whose costs are trusted', () => {
  const costs: JumpCosts = { first: 1, trusted: 14, cost: (s, t) => (t - s) ** 2 };

  // 1 - 0.8 * 6 / 20 of the times are trusted ones: 3.04, 3.8, 5.32 and 9.12 of them, rounded up.
  it.each([
    [4, [20]],
    [5, [20]],
    [7, [20]],
    [12, [17, 20]],
  ])('have few of %i times there, evenly', (count, behind) => {
    const path = optimalTrajectory(costs, count, 20);
    expect(path).toHaveLength(count);
    expect([path[0], path[count - behind.length - 1]]).toEqual([1, 14]);
    expect(path.slice(-behind.length)).toEqual(behind);
  });

  it('are no more than there are, however many are asked for', () => {
    for (let last = 2; last <= 24; ++last) {
      for (let count = 2; count <= last; ++count) {
        for (let trusted = 1; trusted < last; ++trusted) {
          const path = optimalTrajectory({ ...costs, trusted }, count, last);
          expect([path.length, path.at(-1)]).toEqual([count, last]);
          expect(path.every((time, i) => time > (path[i - 1] ?? 0))).toBe(true);
        }
      }
    }
  });

  it('have all of them where all times are asked for', () => {
    expect(optimalTrajectory(costs, 20, 20)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  });
});

describe('costs of the analytic variance on Gaussian data', () => {
  const c = Array.from({ length: 16 }, (_, i) => 0.3 * (i + 1) ** -3);
  const scores = Float64Array.from({ length: 1001 }, (_, n) =>
    c.reduce((sum, each) => sum + 1 / (linear.alphaBar(n) * each + linear.betaBar(n)) / c.length, 0),
  );
  const costs = analyticCosts(
    linear,
    scores.map((score, n) => linear.betaBar(n) * score),
  );

  it('give the known trajectory', () => {
    expect(optimalTrajectory(costs, 10, 1000)).toEqual([1, 3, 6, 10, 16, 26, 42, 71, 132, 1000]);
  });

  it('come from a falling Gamma and are not positive', () => {
    expect(scores.every((score, n) => n < 2 || score < scores[n - 1]!)).toBe(true);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 999 }), fc.integer({ min: 1, max: 999 }), (a, b) => {
        expect(costs.cost(Math.min(a, b), Math.max(a, b) + 1)).toBeLessThanOrEqual(0);
      }),
    );
  });

  it.each([
    [990, 978],
    [1000, 998],
    [400, 1],
    [1001, 1000],
  ])('are trusted up to twice as far from the end as n = %i, where m exceeds 1 first', (wrong, trusted) => {
    const moments = Float64Array.from({ length: 1001 }, (_, n) => (n < wrong ? 0.9 : 1.01));
    expect(analyticCosts(linear, moments).trusted).toBe(trusted);
  });

  it.each([5, 10, 25])('are less on the optimal path than on the uniform one: K = %i', (steps) => {
    const uniform = pathCost(costs, discreteTimes(linear, steps, {}));
    expect(pathCost(costs, discreteTimes(linear, steps, { trajectory: 'optimal', costs }))).toBeLessThan(uniform);
  });
});

/** The table of data N(0, c) with the perfect network and without the discretised decoder's bins. */
function gaussianErrors(c: number): ErrorTable {
  const squaredError = Float64Array.from({ length: 1001 }, (_, n) => {
    const [a, b] = [linear.alphaBar(n), linear.betaBar(n)];
    return n === 0 ? 0 : (c * b) / (a * c + b);
  });
  const decoder = squaredError.map((error, n) => {
    if (n === 0) return 0;
    const variance = decoderVariance(linear, n);
    return Math.max(0.5 * (Math.log(2 * Math.PI * variance) + error / variance) + Math.log(127.5), 0);
  });
  return { schedule: 'linear', numTrainTimesteps: 1000, imagesPerStep: 1, squaredError, decoder };
}

describe('costs of fixed variances', () => {
  const table = gaussianErrors(0.25);

  it('are the KL of Gaussian data in closed form', () => {
    const [s, t, c] = [112, 223, 0.25];
    const [forward, posterior] = [linear.betaBarBetween(s, t), linear.posteriorVariance(s, t)];
    const gamma = (Math.sqrt(linear.alphaBar(s)) * forward) / linear.betaBar(t);
    const error = (c * linear.betaBar(t)) / (linear.alphaBar(t) * c + linear.betaBar(t));
    const kl = (variance: number): number =>
      0.5 * (posterior / variance - 1 + Math.log(variance / posterior) + (gamma ** 2 * error) / variance);
    expect(fixedVarianceCosts(linear, table, 'beta').cost(s, t)).toBeCloseTo(kl(forward), 12);
    expect(fixedVarianceCosts(linear, table, 'beta-tilde').cost(s, t)).toBeCloseTo(kl(posterior), 12);
    expect(fixedVarianceCosts(linear, table, 'beta').cost(0, t)).toBe(table.decoder[t]);
  });

  it.each(['beta', 'beta-tilde'] as const)('%s: the optimal path beats the uniform one', (variance) => {
    const costs = fixedVarianceCosts(linear, table, variance);
    const uniform = pathCost(costs, discreteTimes(linear, 10, {}));
    const optimal = discreteTimes(linear, 10, { trajectory: 'optimal', costs });
    expect(pathCost(costs, optimal)).toBeLessThan(uniform);
  });

  it('are refused where the table does not fit', () => {
    expect(() => fixedVarianceCosts(NoiseSchedule.cosine({ steps: 4000 }), table, 'beta')).toThrow(/needs 4001/);
    expect(() => fixedVarianceCosts(linear, table, 'learned' as 'beta')).toThrow(/variance 'learned'/);
    expect(() => fixedVarianceCosts(NoiseSchedule.vp(), table, 'beta')).toThrow(/discrete/);
  });
});

describe('error tables', () => {
  const json = {
    schedule: 'linear',
    num_train_timesteps: 2,
    images_per_step: 4,
    squared_error: [0, 0.01, 0.3],
    decoder: [0, 3.5, 5],
  };

  it('come back as they were written', async () => {
    const path = join(folder, 'costs.json');
    const table = parseErrorTable(json, 'memory');
    await writeErrorTable(path, table);
    expect(await readErrorTable(path)).toEqual(table);
  });

  it.each([
    [[], /JSON object/],
    [null, /JSON object/],
    [{ ...json, squared_error: [0, 1] }, /squared_error has 2 entries/],
    [{ ...json, decoder: [0, -1, 1] }, /decoder entry 1/],
    [{ ...json, decoder: [-1, 1, 1] }, /decoder entry 0/],
    [{ ...json, decoder: 'many' }, /decoder is "many"/],
    [{ ...json, squared_error: [0, '1', 2] }, /squared_error/],
    [{ ...json, num_train_timesteps: 1e9 }, /num_train_timesteps/],
    [{ ...json, images_per_step: 0 }, /images_per_step/],
    [{ ...json, schedule: null }, /schedule/],
  ])('refuse %j', (value, message) => {
    expect(() => parseErrorTable(value, 'costs.json')).toThrow(message);
    expect(() => parseErrorTable(value, 'costs.json')).toThrow(expect.objectContaining({ code: 'ERR_DPM_CONFIG' }));
  });

  it.each(['squaredError', 'decoder'])('are not written where %s is wrong', async (part) => {
    const table = { ...parseErrorTable(json, 'memory'), [part]: Float64Array.of(0, NaN, 1) };
    const path = join(folder, 'wrong.json');
    await expect(writeErrorTable(path, table)).rejects.toThrow(`${part} entry 1`);
    expect(existsSync(path)).toBe(false);
  });

  it('are refused with their file', async () => {
    const path = join(folder, 'broken.json');
    writeFileSync(path, '{"schedule": ');
    await expect(readErrorTable(path)).rejects.toMatchObject({
      code: 'ERR_DPM_CONFIG',
      message: expect.stringContaining(path) as string,
    });
  });
});

describe('costs of the bundled model', () => {
  let model: DiffusionModel;
  beforeAll(async () => {
    model = await DiffusionModel.load(mnist, { device: 'cpu' });
  });
  afterAll(() => model.close());
  const images = inModelSpace(strokes(6));
  const timesteps = [1, 250, 500, 750, 1000];

  it('predict the terms of the bound', async () => {
    const table = await estimateErrors(model, images, { samples: 6, seed: 3, timesteps, batch: 4 });
    const costs = fixedVarianceCosts(model.schedule, table, 'beta');
    const bound = await estimateLikelihood(model, images, {
      sampler: 'ancestral',
      timesteps: [999, 749, 499, 249, 0],
      seed: 3,
    });
    // The same images and noise: the same numbers.
    for (const { s, t, bits } of bound.kl) expect(costs.cost(s, t) / Math.LN2 / bits).toBeCloseTo(1, 10);
    expect(table.decoder[1]! / Math.LN2).toBeCloseTo(bound.decoder.bits, 10);
    const ofFixed = async (timesteps: number[]): Promise<number> => {
      const { decoder } = await estimateLikelihood(model, images, { sampler: 'ancestral', timesteps, seed: 3 });
      return decoder.bits * Math.LN2;
    };
    expect(await ofFixed([999, 249])).toBeCloseTo(table.decoder[250]!, 10);
    expect(table.squaredError[375]).toBeCloseTo((table.squaredError[250]! + table.squaredError[500]!) / 2, 12);
  });

  it('refuse what has no 8-bit images, and abort', async () => {
    const options = { samples: 2, timesteps: [5] };
    await expect(
      estimateErrors(
        model,
        images.map((value) => value * 0.99),
        options,
      ),
    ).rejects.toThrow(/image 0 holds -0\.99/);
    await expect(estimateErrors(model, images, { ...options, timesteps: [0] })).rejects.toThrow(/timesteps/);
    await expect(estimateErrors(model, images, { ...options, signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ERR_DPM_ABORTED',
    });
  });
});

describe('dpm costs', () => {
  it('writes a table that costs can be made of', async () => {
    const data = join(folder, 'images.safetensors');
    const out = join(folder, 'estimated.json');
    await writeSafetensors(data, { images: { shape: [4, 1, 28, 28], data: inModelSpace(strokes(4)) } });
    expect((await readSafetensorsHeader(data)).tensors.has('images')).toBe(true);
    const args = ['costs', mnist, '--device', 'cpu', '--data', data, '--samples', '4', '--seed', '1'];
    const run = await dpm(...args, '--timesteps', '1,100,400,700,1000', '--out', out, '--json');
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(run.stdout)).toEqual({ out, samples: 4, steps: 1000 });
    const costs = fixedVarianceCosts(linear, await readErrorTable(out), 'beta');
    expect(optimalTrajectory(costs, 5, 1000).at(-1)).toBe(1000);
  });
});
