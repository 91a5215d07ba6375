// The parts that batchers are made of.
import { setTimeout as sleep } from 'node:timers/promises';

import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { DpmError } from '../../../lib/base/errors.js';
import { poissonArrivals } from '../../../lib/cli/bench/arrivals.js';
import type { BatchCounts } from '../../../lib/engine/binding.js';
import type { RunNetwork } from '../../../lib/run/resolve.js';
import { Admission } from '../../../lib/batch/admission.js';
import { Pace } from '../../../lib/batch/pace.js';
import { chooseRows, measureCurve, measureUpTo, stepTime, type Curve } from '../../../lib/batch/calibrate.js';
import { Ending } from '../../../lib/batch/ending.js';
import { EventQueue } from '../../../lib/batch/events.js';
import { batchBytes, Batches, bothCounts, noCounts } from '../../../lib/batch/batches.js';
import { Requests, type RequestParts } from '../../../lib/batch/requests.js';
import { Turnstile } from '../../../lib/batch/turnstile.js';
import { failure } from '../../support/failure.js';

const none: BatchCounts = {
  steps: 0,
  rows: 0,
  paddedRows: 0,
  seconds: 0,
  resident: 0,
  waiting: 0,
  finished: 0,
  cancelled: 0,
  lastStepAt: 0,
};

describe('batches', () => {
  it('are opened once for a network, and again where that failed', async () => {
    let opened = 0;
    const network = {
      native: {
        batch: () => (++opened === 1 ? Promise.reject(new Error('no memory')) : Promise.resolve({ bytes: 7 })),
      },
    } as unknown as RunNetwork;
    const batches = new Batches({ rows: 1, slots: 1, fit: true, whole: false, weight: 1 });
    expect(await failure(batches.of(network))).toMatchObject({ code: 'ERR_DPM_INTERNAL' });
    const both = await Promise.all([batches.of(network), batches.of(network)]);
    expect(both[1]).toBe(both[0]);
    expect(opened).toBe(2);
    expect(batches.bytes).toBe(7);
  });

  it('have the counts of their end when they are closed, and no bytes', async () => {
    const counts = Object.fromEntries(Object.keys(none).map((name, i) => [name, i + 1]));
    const native = { batch: () => Promise.resolve({ bytes: 7, stats: () => counts, close: () => Promise.resolve() }) };
    const batches = new Batches({ rows: 1, slots: 1, fit: true, whole: false, weight: 1 });
    expect(batches.stats()).toEqual(none);
    for (let i = 0; i < 2; ++i) await batches.of({ native } as unknown as RunNetwork);
    const both = bothCounts(counts as unknown as BatchCounts, counts as unknown as BatchCounts);
    expect(batches.stats()).toEqual(both);
    await batches.close();
    expect([batches.stats(), batches.bytes]).toEqual([both, 0]);
  });

  it('have the sum of all counts, and the last step of both', () => {
    const [a, b] = [0, 1].map((more) => Object.fromEntries(Object.keys(none).map((name, i) => [name, 10 * i + more])));
    const sums = Object.fromEntries(Object.keys(none).map((name, i) => [name, 20 * i + 1]));
    const expected = { ...sums, lastStepAt: b!.lastStepAt };
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as unknown as [BatchCounts, BatchCounts][]) {
      expect(bothCounts(one, other)).toEqual(expected);
    }
  });
});

describe('rows of a step', () => {
  const curve = (...points: [number, number][]): Curve => points.map(([rows, ms]) => ({ rows, ms }));

  it('are the fewest with nearly the best throughput in the time of a step', () => {
    const measured = curve([1, 10], [2, 15], [4, 24], [8, 45], [16, 89]);
    expect(chooseRows(measured, 250, 1)).toBe(8);
    expect(chooseRows(measured, 44, 1)).toBe(4);
    expect(chooseRows(measured, 5, 1)).toBe(1);
    expect(chooseRows(measured, 5, 2)).toBe(2);
    // 97 per cent of it are enough.
    expect(chooseRows(curve([1, 10], [2, 10.3], [4, 20]), 250, 1)).toBe(2);
    expect(chooseRows(curve([1, 10], [2, 10.4], [4, 20]), 250, 1)).toBe(4);
  });

  it('take what straight lines between measurements say', () => {
    const measured = curve([2, 20], [4, 30]);
    expect([1, 2, 3, 4, 8].map((rows) => stepTime(measured, rows))).toEqual([10, 20, 25, 30, 60]);
  });

  it('are measured as long as it helps', async () => {
    const sizes = async (cost: (rows: number) => number, options: object = {}): Promise<number[]> => {
      const measured = await measureCurve((rows) => Promise.resolve(cost(rows)), {
        stepTarget: 250,
        most: 128,
        least: 1,
        ...options,
      });
      return measured.map(({ rows }) => rows);
    };
    // No gain from 1 on: three more are looked at.
    expect(await sizes((rows) => 10 * rows)).toEqual([1, 2, 3, 4]);
    // Nor is one of less than a hundredth a gain.
    expect(await sizes((rows) => rows ** 0.995)).toEqual([1, 2, 3, 4]);
    expect((await sizes(() => 10)).at(-1)).toBe(128);
    expect(await sizes(() => 10, { most: 8 })).toEqual([1, 2, 3, 4, 6, 8]);
    // One that takes too long is the last, but never below what a guided sample needs.
    expect(await sizes((rows) => 100 + rows, { stepTarget: 104 })).toEqual([1, 2, 3, 4, 6]);
    expect(await sizes(() => 1000, { least: 2 })).toEqual([1, 2]);
    expect((await measureUpTo((rows) => Promise.resolve(rows), 10)).map(({ rows }) => rows)).toEqual([1, 3, 5, 10]);
    expect((await measureUpTo((rows) => Promise.resolve(rows), 1)).map(({ rows }) => rows)).toEqual([1]);
  });

  it('are told by medians over rounds', async () => {
    let round = 0;
    const times = [10, 90, 11];
    const measured = await measureUpTo(() => Promise.resolve(times[round++]!), 1);
    expect(measured).toEqual([{ rows: 1, ms: 11 }]);
    expect(round).toBe(3);
  });
});

describe('admission', () => {
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

  it('counts the rows of guided samples, and what is done', () => {
    const admission = new Admission({ order: 'share', stretch: 1 }, limits);
    expect(pace.rate).toBe(2);
    const plain = admission.admit(client, samples(2, 10), pace);
    expect(admission.backlog).toBe(10);
    const guided = admission.admit(client, samples(1, 10, 2), pace);
    expect(admission.backlog).toBe(20);
    expect([...guided.keys]).toEqual([10 + 20 * 2]);
    plain.done = 0.5;
    expect(admission.expectedWait(client)).toBe(15);
    admission.finish(plain);
    admission.finish(plain);
    expect(admission.backlog).toBe(10);
  });

  it('lets requests wait a tenth longer than they may, or for the steps that are at work', () => {
    const waits = (maxWait: number): number =>
      new Admission({ order: 'share', stretch: 1 }, { ...limits, maxWait }).mostQueued(pace);
    const step = pace.stepTime(pace.rows);
    expect(step).toBeGreaterThan(0);
    expect(waits(0)).toBe(100 + 2 * step);
    expect(waits(500)).toBe(600 + 2 * step);
    expect(waits(30_000)).toBeCloseTo(33_000);
    expect(waits(Infinity)).toBe(Infinity);
  });

  it('takes the batch into account where it asks for the time of a request', () => {
    const admission = new Admission({ order: 'share', stretch: 1 }, limits);
    // Steps alone: ten of one row. Steps beside three others: of four rows.
    admission.admit({ ...client, deadline: 10 }, samples(1, 10), pace);
    for (let i = 0; i < 2; ++i) admission.admit({ ...client, tenant: String(i) }, samples(1, 1), pace);
    expect(() => admission.admit({ ...client, priority: 'high', deadline: 19 }, samples(1, 10), pace)).toThrow(
      /20 ms of its own/,
    );
    admission.admit({ ...client, priority: 'high', deadline: 20 }, samples(1, 10), pace);
    // Many samples take what all of them take together.
    const many = new Admission({ order: 'share', stretch: 1 }, limits);
    expect(() => many.admit({ ...client, deadline: 49 }, samples(10, 10), pace)).toThrow(/50 ms of its own/);
  });

  it('goes by the rows that a step has', () => {
    expect(new Pace(curve, 1).rate).toBe(1);
    expect(new Pace(curve, 1).stepTime(4)).toBe(1);
    expect(new Pace(curve, 4).stepTime(8)).toBe(2);
  });

  it('counts the wait before a request among its time', () => {
    const admission = new Admission({ order: 'share', stretch: 1 }, limits);
    admission.admit(client, samples(1, 100), pace);
    // One sample whose start is that of others is before them as a whole.
    expect(admission.expectedWait({ tenant: 'other', priority: 'normal' })).toBe(50);
    expect(() => admission.admit({ ...client, deadline: 60 }, samples(1, 10), pace)).toThrow(
      /expected wait of 50 ms and 14 ms/,
    );
    admission.admit({ ...client, deadline: 64 }, samples(1, 10), pace);
  });

  it('gives back what a tenant has not used', () => {
    const admission = new Admission({ order: 'share', stretch: 0 }, limits);
    const other = admission.admit({ ...client, tenant: 'other' }, samples(1, 10), pace);
    const cancelled = admission.admit({ ...client, tenant: 'mine' }, samples(1, 100), pace);
    cancelled.done = 0.25;
    admission.finish(cancelled);
    expect(admission.clock.start('mine')).toBe(12.5);
    admission.finish(other);
  });
});

describe('work other than sampling', () => {
  it('is refused where there is no room', async () => {
    const overloaded = new DpmError('ERR_DPM_OVERLOADED', 'no room');
    const admission = {
      refused: { wait: 0, deadline: 0, bytes: 0 },
      observe: vi.fn(),
      requireRoom() {
        // What steps take now is known before.
        expect(admission.observe).toHaveBeenCalledWith(pace, noCounts);
        throw overloaded;
      },
    };
    const [pace, batches] = [{}, { stats: () => noCounts }];
    const requests = new Requests({ admission, pace, batches } as unknown as RequestParts);
    const work = vi.fn();
    await expect(requests.other({}, work)).rejects.toBe(overloaded);
    admission.observe.mockClear();
    await expect(requests.perform({ find: work }, {})).rejects.toBe(overloaded);
    expect(work).not.toHaveBeenCalled();
    expect(requests.unfinished).toBe(0);
  });
});

describe('places', () => {
  it('are given in order, and lost by nobody who leaves', async () => {
    const turnstile = new Turnstile(1);
    const order: string[] = [];
    const work = (name: string, signal?: AbortSignal): Promise<unknown> =>
      turnstile.pass(signal, async () => {
        order.push(name);
        await sleep(5);
      });
    const leaving = new AbortController();
    const first = work('first');
    const second = work('second', leaving.signal).catch((error: unknown) => (error as DpmError).code);
    const third = work('third');
    expect(turnstile.waiting).toBe(2);
    leaving.abort();
    // The fourth leaves before its turn.
    const fourth = work('fourth', leaving.signal).catch((error: unknown) => (error as DpmError).code);
    expect(await Promise.all([second, fourth])).toEqual(['ERR_DPM_ABORTED', 'ERR_DPM_ABORTED']);
    expect(turnstile.waiting).toBe(1);
    await Promise.all([first, third, work('fifth').then(() => work('sixth'))]);
    expect(order).toEqual(['first', 'third', 'fifth', 'sixth']);
    await expect(turnstile.pass(undefined, () => Promise.reject(new RangeError('mine')))).rejects.toThrow('mine');
    await work('last');
  });
});

describe('the bytes of a batch', () => {
  const sizes = { image: 10, out: 20, head: 3, rowBytes: 1000 };

  it('are maps and predictions of its rows, registers and outputs of its slots', () => {
    expect(batchBytes(sizes, 1, 0)).toBe(1000 + 4 * (10 + 20 + 3));
    // The state, the second register and three past predictions.
    expect(batchBytes(sizes, 0, 1)).toBe(4 * (5 * 10 + 20 + 3));
    expect(batchBytes(sizes, 7, 9)).toBe(7 * batchBytes(sizes, 1, 0) + 9 * batchBytes(sizes, 0, 1));
  });
});

describe('a place that is given while its owner leaves', () => {
  it.each([0, 1, 2, 3, 4, 5, 6])('costs nobody else one, %i turns later', async (turns) => {
    const turnstile = new Turnstile(1);
    const leaving = new AbortController();
    let release: () => void = () => undefined;
    const first = turnstile.pass(undefined, () => new Promise<void>((resolve) => (release = resolve)));
    const second = turnstile.pass(leaving.signal, () => Promise.resolve()).catch(() => undefined);
    const third = turnstile.pass(undefined, () => Promise.resolve('there'));
    await sleep(1);
    release();
    for (let turn = 0; turn < turns; ++turn) await Promise.resolve();
    leaving.abort();
    await Promise.all([first, second]);
    expect(await Promise.race([third, sleep(1000, 'lost')])).toBe('there');
  });
});

describe('the ending of a request', () => {
  const late = (): DpmError => new DpmError('ERR_DPM_DEADLINE', 'late');

  it('has no timer where a deadline is beyond what timers take', async () => {
    const ending = new Ending(undefined, 2 ** 31, late);
    expect(await ending.during(() => sleep(20, 'done'))).toBe('done');
    expect(ending.signal.aborted).toBe(false);
  });

  it('leaves nothing on the signal of its caller', async () => {
    const caller = new AbortController();
    let listeners = 0;
    const signal = new Proxy(caller.signal, {
      get(target, name) {
        if (name === 'addEventListener') return () => ++listeners;
        if (name === 'removeEventListener') return () => --listeners;
        return Reflect.get(target, name, target) as unknown;
      },
    });
    const ending = new Ending(signal, 10_000, late);
    expect(listeners).toBe(1);
    await ending.during(() => Promise.resolve());
    expect(listeners).toBe(0);
  });

  it('leaves no timer', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const ending = new Ending(undefined, 10_000, late);
    expect(vi.getTimerCount()).toBe(1);
    await ending.during(() => Promise.resolve());
    expect(vi.getTimerCount()).toBe(0);
  });

  it('passes other errors, and its first reason', async () => {
    const ending = new Ending(undefined, undefined, late);
    ending.end(new DpmError('ERR_DPM_CLOSED', 'first'));
    ending.end(new DpmError('ERR_DPM_DEADLINE', 'second'));
    const aborted = new DpmError('ERR_DPM_ABORTED', 'aborted');
    await expect(ending.during(() => Promise.reject(aborted))).rejects.toThrow('first');
    const mine = new RangeError('mine');
    await expect(ending.during(() => Promise.reject(mine))).rejects.toBe(mine);
  });
});

describe('events', () => {
  it('end with what waits, or with an error behind it', async () => {
    const queue = new EventQueue();
    queue.push({ type: 'accepted', expectedWait: 1 });
    queue.push({ type: 'progress', done: 1, total: 3 });
    queue.push({ type: 'progress', done: 2, total: 3 });
    queue.fail(new RangeError('mine'));
    queue.push({ type: 'progress', done: 3, total: 3 });
    queue.fail(new RangeError('later'));
    const reader = queue.read();
    expect((await reader.next()).value).toEqual({ type: 'accepted', expectedWait: 1 });
    expect((await reader.next()).value).toEqual({ type: 'progress', done: 2, total: 3 });
    await expect(reader.next()).rejects.toThrow('mine');
  });
});

describe('requests of the benchmark', () => {
  it('come as often and are as long as the workload says', () => {
    const workload = { rate: 2, milliseconds: 200_000, lengths: [10, 30], longShare: 0.1, longest: 1000 };
    const arrivals = poissonArrivals(workload, 3);
    const records = arrivals.reduce((sum, each) => sum + each.records, 0);
    expect(records / 400_000).toBeGreaterThan(0.9);
    expect(records / 400_000).toBeLessThan(1.1);
    const share = (length: number): number =>
      arrivals.filter((each) => each.records === length).length / arrivals.length;
    for (const [length, expected] of [
      [10, 0.45],
      [30, 0.45],
      [1000, 0.1],
    ] as const) {
      expect(Math.abs(share(length) - expected)).toBeLessThan(0.02);
    }
    expect(arrivals.every(({ at }, i) => at > (arrivals[i - 1]?.at ?? 0))).toBe(true);
    expect(poissonArrivals(workload, 3)).toEqual(arrivals);
    expect(poissonArrivals(workload, 4)).not.toEqual(arrivals);
  });
});
