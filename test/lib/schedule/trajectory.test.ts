import { createHash } from 'node:crypto';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { roundHalfEven, solverTimes, spacedTimes } from '../../../lib/schedule/spacing.js';
import { continuousGrid, discreteTimes, discreteTransitions } from '../../../lib/schedule/trajectory.js';

const linear = NoiseSchedule.linear();

describe('discrete trajectories', () => {
  it('uniform', () => {
    expect(discreteTimes(linear, 10, {})).toEqual([1, 112, 223, 334, 445, 556, 667, 778, 889, 1000]);
    expect(discreteTimes(linear, 25, {}).slice(0, 6)).toEqual([1, 43, 84, 126, 168, 209]);
    expect(discreteTimes(NoiseSchedule.cosine({ steps: 4000 }), 25, {}).slice(0, 4)).toEqual([1, 168, 334, 501]);
    expect(discreteTimes(linear, 1, {})).toEqual([1000]);
  });

  it('quadratic', () => {
    expect(discreteTimes(linear, 10, { trajectory: 'quadratic' })).toEqual([
      1, 10, 40, 89, 159, 247, 356, 484, 633, 801,
    ]);
  });

  it('quadratic, whole squares as NumPy rounds them', () => {
    expect(discreteTimes(linear, 16, { trajectory: 'quadratic' })).toEqual([
      1, 4, 15, 32, 57, 89, 128, 175, 228, 288, 356, 431, 512, 601, 697, 801,
    ]);
  });

  // Lists int(linspace(0, sqrt(0.8 N), K) ** 2) by NumPy, for all K without repeated times.
  it.each([
    [100, 8, '0da386c9e79ccad5'],
    [200, 12, 'a0cfd389aa81ac6a'],
    [1000, 28, 'a02cc4a3fe73e5d7'],
    [4000, 56, '87b11bd0b568b4b5'],
  ] as const)('quadratic, every K without repeats: N = %d', (steps, count, hash) => {
    const schedule = NoiseSchedule.linear({ steps });
    const digest = createHash('sha256');
    for (let k = 2; k < 2 + count; ++k) {
      const times = discreteTimes(schedule, k, { trajectory: 'quadratic' });
      digest.update(`${times.map((n) => n - 1).join(',')};`);
    }
    expect(digest.digest('hex').slice(0, 16)).toBe(hash);
  });

  it('quadratic, between times that are given to the last of them', () => {
    const between = (options: { tStart?: number; tEnd?: number }): number[] =>
      discreteTimes(linear, 5, { trajectory: 'quadratic', ...options });
    expect(between({ tStart: 401 })).toEqual([1, 26, 101, 226, 401]);
    expect(between({ tEnd: 600 })).toEqual([600, 625, 700, 825, 1000]);
    expect(between({ tStart: 500, tEnd: 100 })).toEqual([100, 125, 200, 325, 500]);
  });

  it('rounds half to even', () => {
    expect([0.5, 1.5, 2.5, 2.4999, 3.2].map(roundHalfEven)).toEqual([0, 2, 2, 2, 3]);
  });

  it('is strictly increasing, inside 1..N and of the length asked for', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.constantFrom('uniform', 'quadratic', 'logsnr'),
        (steps, trajectory) => {
          const times = discreteTimes(linear, steps, { trajectory });
          expect(times).toHaveLength(steps);
          expect(
            times.every((n, k) => Number.isInteger(n) && n >= 1 && n <= 1000 && (k === 0 || n > times[k - 1]!)),
          ).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('logsnr takes the nearest times', () => {
    const times = discreteTimes(linear, 5, { trajectory: 'logsnr' });
    expect(times[0]).toBe(1);
    expect(times[4]).toBe(1000);
    const middle = (linear.logSnr(1) + linear.logSnr(1000)) / 2;
    const distances = [times[2]! - 1, times[2]!, times[2]! + 1].map((n) => Math.abs(linear.logSnr(n) - middle));
    expect(Math.min(...distances)).toBe(distances[1]);
  });
});

describe('transitions', () => {
  it('end at the data, or at n = 1', () => {
    expect(discreteTransitions(linear, { steps: 2 })).toEqual([
      { s: 1, t: 1000 },
      { s: 0, t: 1 },
    ]);
    expect(discreteTransitions(linear, { steps: 2, end: 'first' })).toEqual([
      { s: 500, t: 1000 },
      { s: 1, t: 500 },
    ]);
  });

  it('take explicit timesteps over steps', () => {
    for (const others of [{ steps: 50 }, { steps: 50, trajectory: 'leading' as const }]) {
      expect(discreteTransitions(linear, { timesteps: [999, 4], ...others })).toEqual([
        { s: 5, t: 1000 },
        { s: 0, t: 5 },
      ]);
    }
  });

  it.each([
    [{}, /steps is missing/],
    [{ steps: 0 }, /steps is 0/],
    [{ steps: 1001 }, /steps is 1001/],
    [{ timesteps: [3, 3] }, /decrease/],
    [{ timesteps: [1000] }, /at most 999/],
    [{ timesteps: [] }, /empty/],
    [{ steps: 3, tStart: 2000 }, /tStart 2000/],
    [{ timesteps: [0], end: 'first' as const }, /above 0/],
    [{ steps: 3, tEnd: 5, end: 'first' as const }, /ends at n = 1; leave tEnd out/],
  ])('refuse %j', (options, message) => {
    expect(() => discreteTransitions(linear, options)).toThrow(message);
  });
});

describe("diffusers' spacings", () => {
  // (1000 - k 1000 / 48) is 937.5 and so on, but for its last bit: np.arange(1000, 0, -1000 / 48).round() - 1.
  it('are rounded as NumPy rounds them', () => {
    const times = spacedTimes('trailing', { count: 48, trained: 1000 });
    expect([3, 15, 27, 39].map((k) => times[k])).toEqual([936, 686, 436, 186]);
    expect(spacedTimes('trailing', { count: 96, trained: 1000 })[18]).toBe(812);
  });

  it('of solvers leave out the noisiest times', () => {
    expect(solverTimes('leading', { count: 4, trained: 1000 }, 600)).toEqual([480, 360, 240, 120]);
    expect(solverTimes('linspace', { count: 4, trained: 1000 }, 601)).toEqual([600, 450, 300, 150]);
    expect(solverTimes('trailing', { count: 16, trained: 1000 }, 629)).toEqual([
      628, 565, 503, 441, 378, 315, 253, 191, 128, 65, 3,
    ]);
    // Seven less two strides of ten thirds rounds to 0.
    expect(() => solverTimes('trailing', { count: 3, trained: 10 }, 7)).toThrow(/take the time -1/);
  });
});

describe('continuous grids', () => {
  const schedule = NoiseSchedule.vp();

  it('end exactly where they are told to', () => {
    for (const trajectory of ['uniform', 'quadratic', 'logsnr'] as const) {
      const grid = continuousGrid(schedule, 7, trajectory, 1, 1e-3);
      expect(grid).toHaveLength(8);
      expect([grid[0], grid[7]]).toEqual([1, 1e-3]);
      expect(grid.every((t, i) => i === 0 || t < grid[i - 1]!)).toBe(true);
    }
  });

  it('logsnr has equal steps', () => {
    const values = continuousGrid(schedule, 5, 'logsnr', 1, 1e-3).map((t) => schedule.logSnr(t));
    const steps = values.slice(1).map((value, i) => value - values[i]!);
    for (const step of steps) expect(step).toBeCloseTo(steps[0]!, 10);
  });
});
