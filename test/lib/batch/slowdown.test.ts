// What a batch knows of the speed of its machine.
import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { Admission } from '../../../lib/batch/admission.js';
import { noCounts } from '../../../lib/batch/batches.js';
import type { Curve } from '../../../lib/batch/calibrate.js';
import { Pace } from '../../../lib/batch/pace.js';
import { Slowdown } from '../../../lib/batch/slowdown.js';

describe('the time that steps take now', () => {
  const curve: Curve = [
    { rows: 1, ms: 1 },
    { rows: 4, ms: 2 },
  ];
  const pace = new Pace(curve, 4);
  const limits = { maxWait: 100, maxWork: 1000, maxWaitingBytes: 1000 };
  const client = { tenant: '', weight: 1, priority: 'normal', deadline: undefined } as const;
  const samples = (count: number, evaluations: number, rows = 1) => ({
    samples: Array.from({ length: count }, () => ({ evaluations, rows })),
    bytes: 0,
  });

  it('is what waits, refusals and promises go by', () => {
    const admission = new Admission({ order: 'share', stretch: 1 }, limits);
    const first = admission.admit(client, samples(2, 50), pace);
    expect(admission.expectedWait(client)).toBe(50);
    // Steps of four rows take three times their 2 ms, for a minute.
    admission.observe(pace, { ...noCounts, steps: 10_000, rows: 40_000, seconds: 60 });
    expect(admission.slowdown).toBeCloseTo(3, 6);
    expect(admission.backlog).toBeCloseTo(150, 3);
    expect(() => admission.requireRoom(client)).toThrow(/the expected wait is 15\d ms, above maxWait/);
    expect(() => admission.admit({ ...client, deadline: 200 }, samples(1, 20), pace)).toThrow(
      /150 ms and 80 ms of its own work/,
    );
    // Work is limited as it was measured: it is no fault of a request that the machine is slow.
    admission.finish(admission.admit({ ...client, tenant: 'b' }, samples(1, 1999), pace));
    // The keys of a deadline are in the clock's own milliseconds.
    const [key] = admission.admit({ ...client, tenant: 'c', deadline: 120 }, samples(1, 20), pace).keys;
    expect(key).toBeCloseTo(120 / 3 - 10, 3);
    admission.finish(first);
  });

  it('is that of a machine that becomes slower and recovers, within ten seconds of steps', () => {
    const slowdown = new Slowdown();
    const counts = { ...noCounts };
    const run = (seconds: number, factor: number): number => {
      for (let time = 0; time < seconds; time += 0.002 * factor) {
        ++counts.steps;
        counts.rows += 4;
        counts.seconds += 0.002 * factor;
        slowdown.observe(pace, counts);
      }
      return slowdown.after(0);
    };
    expect(run(1, 1)).toBeCloseTo(1, 9);
    expect(run(1, 3)).toBeLessThan(2);
    expect(run(9, 3)).toBeGreaterThan(2.9);
    expect(run(10, 1)).toBeLessThan(1.1);
    expect(run(10, 0.5)).toBeLessThan(0.55);
    // One step in which the machine slept.
    ++counts.steps;
    counts.rows += 4;
    counts.seconds += 3600;
    slowdown.observe(pace, counts);
    expect(slowdown.after(0)).toBe(256);
    expect(run(10, 1)).toBeLessThan(3);
  });

  it('is known from the counts of each batch, and nothing new without a step', () => {
    const slowdown = new Slowdown();
    const other = new Pace([{ rows: 1, ms: 100 }], 1);
    slowdown.observe(pace, { ...noCounts, steps: 1000, rows: 4000, seconds: 4 });
    const once = slowdown.after(0);
    expect(once).toBeGreaterThan(1.8);
    slowdown.observe(pace, { ...noCounts, steps: 1000, rows: 4000, seconds: 4 });
    slowdown.observe(pace, noCounts);
    expect(slowdown.after(0)).toBe(once);
    // Steps that the curve of this batch explains.
    slowdown.observe(other, { ...noCounts, steps: 100, rows: 100, seconds: 10 });
    expect(slowdown.after(0)).toBeLessThan(1.01);
  });

  it('is believed less the longer there is nothing to do', () => {
    const slowdown = new Slowdown();
    slowdown.observe(pace, { ...noCounts, steps: 10_000, rows: 40_000, seconds: 60 });
    expect(slowdown.after(10_000)).toBeCloseTo(1 + 2 / Math.E, 6);
    slowdown.rested(100_000);
    expect(slowdown.after(0)).toBeCloseTo(1, 3);
  });

  it('is forgotten from the end of the last request to the next one', () => {
    const now = vi.spyOn(performance, 'now');
    onTestFinished(() => {
      now.mockRestore();
    });
    now.mockReturnValue(0);
    const admission = new Admission({ order: 'share', stretch: 1 }, limits);
    const slow = { ...noCounts, steps: 10_000, rows: 40_000, seconds: 60 };
    const one = admission.admit(client, samples(1, 1), pace);
    const two = admission.admit(client, samples(1, 1), pace);
    admission.observe(pace, slow);
    now.mockReturnValue(50_000);
    admission.finish(one);
    expect(admission.slowdown).toBeCloseTo(3, 6);
    admission.finish(two);
    now.mockReturnValue(60_000);
    const rested = 1 + 2 / Math.E;
    expect(admission.slowdown).toBeCloseTo(rested, 6);
    admission.admit(client, samples(1, 1), pace);
    now.mockReturnValue(90_000);
    expect(admission.slowdown).toBeCloseTo(rested, 6);
  });
});
