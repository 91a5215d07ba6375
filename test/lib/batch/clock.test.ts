// Keys and admission on a clock that no computer runs: what simulations of a batch come to, against a model that was written beforehand.
import { describe, expect, it } from 'vitest';

import { quantile } from '../../../lib/base/quantile.js';
import { ServiceClock } from '../../../lib/batch/clock.js';
import type { Priority, ServiceOrder } from '../../../lib/batch/options.js';
import { latencies, mnistCurve, poisson, rateOf, simulate, type SimulatedRequest } from './simulation.js';

const ROWS = 16;
const rate = rateOf(mnistCurve, ROWS);
/** The model's tables allow for. */
const SHARE = 0.05;

function expectNear(value: number, expected: number): void {
  expect(Math.abs(value - expected)).toBeLessThanOrEqual(SHARE * expected);
}

const mean = (values: readonly number[]): number => values.reduce((sum, each) => sum + each, 0) / values.length;

describe('samples of 10, 25 and 70 records', () => {
  // Load; mean, p99 of 10 records, p99 of latency over records, in milliseconds.
  it.each<[number, ServiceOrder, number, number, number]>([
    [0.5, 'arrival', 99.8, 84.7, 7.71],
    [0.5, 'share', 99.8, 84.7, 7.71],
    [0.8, 'arrival', 230, 287, 20.1],
    [0.8, 'share', 229, 148, 14.7],
    [0.8, 'shortest', 229, 148, 14.7],
    [0.95, 'arrival', 658, 1224, 111],
    [0.95, 'share', 565, 614, 50.2],
    [0.95, 'shortest', 539, 152, 33.2],
  ])('at load %f in order of %s', (load, order, expectedMean, expectedShort, expectedPerRecord) => {
    const requests = poisson(6000, (load * rate) / 35, [10, 25, 70]);
    simulate(requests, { rows: ROWS, order });
    const counted = requests.slice(600);
    expectNear(mean(latencies(counted)), expectedMean);
    expectNear(quantile(latencies(counted.filter(({ steps }) => steps === 10)), 0.99), expectedShort);
    const perRecord = counted.map(({ arrival, done = NaN, steps }) => (done - arrival) / steps);
    expectNear(quantile(perRecord, 0.99), expectedPerRecord);
  });

  it('favour short ones as much as stretch says', () => {
    const p99 = (stretch: number): number => {
      const requests = poisson(6000, (0.95 * rate) / 35, [10, 25, 70]);
      simulate(requests, { rows: ROWS, stretch });
      return quantile(latencies(requests.slice(600).filter(({ steps }) => steps === 10)), 0.99);
    };
    expect(p99(1)).toBeLessThan(0.6 * p99(0.25));
    expectNear(p99(0), 1224);
    expectNear(p99(1000), 152);
  });
});

describe('one tenant with 2,000 samples of 70 records beside another with single ones', () => {
  const served = (load: number, order: ServiceOrder, priority: Priority = 'normal') => {
    const single = poisson(load > 0.5 ? 4500 : 1500, (load * rate) / 17.5, [10, 25], 'single');
    for (const request of single) request.priority = priority;
    const middle = single[Math.floor(single.length / 4)]!.arrival;
    const many: SimulatedRequest[] = Array.from({ length: 2000 }, () => ({
      arrival: middle,
      steps: 70,
      tenant: 'many',
      priority: 'normal',
    }));
    simulate(
      [...single, ...many].sort((a, b) => a.arrival - b.arrival),
      { rows: ROWS, order },
    );
    const during = latencies(single.filter(({ arrival }) => arrival > middle));
    const seconds = (Math.max(...many.map(({ done = NaN }) => done)) - middle) / 1000;
    return { p50: quantile(during, 0.5), p99: quantile(during, 0.99), seconds };
  };

  // p50 and p99 of the single ones in milliseconds, seconds of the 2,000.
  it.each<[number, ServiceOrder, Priority, number, number, number]>([
    [0.2, 'arrival', 'normal', 87145, 120264, 121],
    [0.7, 'arrival', 'normal', 110037, 120969, 121],
    [0.7, 'share', 'normal', 13623, 28327, 172],
  ])('at load %f in order of %s, priority %s', (load, order, priority, p50, p99, seconds) => {
    const actual = served(load, order, priority);
    expectNear(actual.p50, p50);
    expectNear(actual.p99, p99);
    expectNear(actual.seconds, seconds);
  });

  // Slots are held only by running samples, so these numbers are better than those of a model whose slots are taken.
  it.each<[number, ServiceOrder, Priority, number, number, number]>([
    [0.2, 'share', 'normal', 358, 794, 138],
    [0.2, 'shortest', 'normal', 358, 794, 138],
    [0.2, 'share', 'high', 358, 794, 138],
    [0.7, 'shortest', 'normal', 350, 978, 172],
    [0.7, 'share', 'high', 354, 896, 172],
  ])('at load %f in order of %s, priority %s: no worse', (load, order, priority, p50, p99, seconds) => {
    const actual = served(load, order, priority);
    expect(actual.p50).toBeLessThanOrEqual(p50);
    expect(actual.p99).toBeLessThanOrEqual(p99);
    expectNear(actual.seconds, seconds);
  });
});

describe('three times the capacity', () => {
  // Refused of 10 and of 70 records; p50 and p99 of the accepted.
  it.each<[ServiceOrder, number, number, number, number, number]>([
    ['arrival', Infinity, 0, 0, 65563, 119474],
    ['share', Infinity, 0, 0, 65282, 119226],
    ['arrival', 2 * 35 * 13.82, 0.67, 0.66, 966, 1700],
    ['share', 2 * 35 * 13.82, 0.67, 0.66, 589, 1989],
    ['shortest', 2 * 35 * 13.82, 0.67, 0.66, 354, 2274],
  ])('in order of %s with maxWait %f', (order, maxWait, refusedShort, refusedLong, p50, p99) => {
    const requests = poisson(6000, (3 * rate) / 35, [10, 25, 70]);
    const { rows, end } = simulate(requests, { rows: ROWS, order, maxWait });
    expect(rows / end / rate).toBeGreaterThan(0.97);
    for (const [length, expected] of [
      [10, refusedShort],
      [70, refusedLong],
    ] as const) {
      const own = requests.filter(({ steps }) => steps === length);
      expect(own.filter(({ done }) => done === undefined).length / own.length).toBeCloseTo(expected, 1);
    }
    const all = latencies(requests);
    const counted = all.slice(Math.floor(all.length / 10));
    expectNear(quantile(counted, 0.5), p50);
    expectNear(quantile(counted, 0.99), p99);
  });
});

describe('the clock', () => {
  const sample = (work: number): { work: number; run: number } => ({ work, run: 10 * work });

  it('lets nobody starve', () => {
    // Short ones at 0.9 of the capacity, and now and then one of 1000 records.
    const short = poisson(300_000, (0.9 * rate) / 10, [10], 'short');
    const long: SimulatedRequest[] = Array.from({ length: 60 }, (_, i) => ({
      arrival: 20_000 * i,
      steps: 1000,
      tenant: 'long',
      priority: 'normal',
    }));
    const all = [...short, ...long].sort((a, b) => a.arrival - b.arrival);
    simulate(all, { rows: ROWS });
    expect(latencies(all)).toHaveLength(all.length);
    // The slowest takes 13.8 s alone in a full batch.
    const slowest = (requests: SimulatedRequest[]): number =>
      latencies(requests).reduce((most, latency) => Math.max(most, latency));
    expect(slowest(long)).toBeLessThan(45_000);
    expect(slowest(short)).toBeLessThan(2000);
  });

  it('never falls, and goes on from the largest tag when there is nothing to do', () => {
    const clock = new ServiceClock('share', 0);
    const first = clock.admit({ tenant: 'a', weight: 1, samples: [sample(5), sample(5)] });
    expect([...first.keys]).toEqual([0, 5]);
    expect(clock.now).toBe(0);
    first.done = 0.5;
    expect(clock.now).toBe(2.5);
    first.done = 0;
    expect(clock.now).toBe(2.5);
    const second = clock.admit({ tenant: 'b', weight: 1, samples: [sample(3)] });
    expect([...second.keys]).toEqual([2.5]);
    clock.finish(first);
    expect(clock.now).toBe(2.5);
    clock.finish(second);
    expect(clock.now).toBe(10);
    expect(clock.unfinished.size).toBe(0);
  });

  it('gives tenants time by their weights', () => {
    const clock = new ServiceClock('share', 0);
    const light = clock.admit({ tenant: 'light', weight: 1, samples: [sample(6), sample(6)] });
    const heavy = clock.admit({ tenant: 'heavy', weight: 3, samples: [sample(6), sample(6)] });
    expect([...light.keys]).toEqual([0, 6]);
    expect([...heavy.keys]).toEqual([0, 2]);
    expect([clock.start('light'), clock.start('heavy'), clock.start('new')]).toEqual([12, 4, 0]);
    clock.charge('new', 2, 30);
    expect(clock.start('new')).toBe(15);
    const arrival = new ServiceClock('arrival', 1);
    arrival.admit({ tenant: 'light', weight: 1, samples: [sample(6)] });
    expect([...arrival.admit({ tenant: 'heavy', weight: 3, samples: [sample(6)] }).keys]).toEqual([6]);
    const shortest = new ServiceClock('shortest', 1);
    expect([...shortest.admit({ tenant: '', weight: 1, samples: [sample(6), sample(2)] }).keys]).toEqual([60, 20]);
  });

  it('brings forward what has a deadline', () => {
    const clock = new ServiceClock('share', 1);
    clock.admit({ tenant: 'a', weight: 1, samples: [sample(100)] });
    const late = clock.admit({ tenant: 'a', weight: 1, samples: [sample(5)], deadline: 40 });
    expect([...late.keys]).toEqual([35]);
    const never = clock.admit({ tenant: 'a', weight: 1, samples: [sample(5)], deadline: 4000 });
    expect([...never.keys]).toEqual([105 + 50]);
    const shortest = new ServiceClock('shortest', 1);
    const first = shortest.admit({ tenant: '', weight: 1, samples: [sample(6)], deadline: 10 });
    expect([...first.keys]).toEqual([4]);
    // Keys of the shortest are lengths, whatever the time.
    shortest.finish(first);
    expect(shortest.now).toBeGreaterThan(0);
    expect([...shortest.admit({ tenant: '', weight: 1, samples: [sample(6)], deadline: 10 }).keys]).toEqual([4]);
  });

  it('forgets tenants whose time has passed', () => {
    const clock = new ServiceClock('share', 1);
    for (let i = 0; i < 3000; ++i) {
      clock.finish(clock.admit({ tenant: `tenant ${i}`, weight: 1, samples: [sample(1)] }));
    }
    // Tenants start now, the earliest ones as well.
    expect(clock.start('tenant 0')).toBe(clock.now);
    expect(clock.tenants).toBeLessThan(1100);
  });

  it('remembers tenants whose time is to come', () => {
    const clock = new ServiceClock('share', 1);
    clock.admit({ tenant: 'running', weight: 1, samples: [sample(1)] });
    clock.charge('ahead', 1, 100);
    for (let i = 0; i < 3000; ++i) {
      clock.finish(clock.admit({ tenant: `tenant ${i}`, weight: 1, samples: [sample(1)] }));
    }
    expect(clock.tenants).toBeLessThan(1100);
    expect([clock.now, clock.start('running'), clock.start('ahead')]).toEqual([0, 1, 100]);
  });

  it('charges for the time of work, whether it fails or not', () => {
    const clock = new ServiceClock('share', 0);
    clock.admit({ tenant: 'other', weight: 1, samples: [{ work: 1, run: 1 }] });
    let time = 5;
    const now = () => time;
    const work = () => (time += 12);
    expect(clock.charging({ tenant: 'a', weight: 2 }, work, now)).toBe(17);
    expect(clock.start('a')).toBe(6);
    const failing = () => {
      work();
      throw new RangeError('mine');
    };
    expect(() => clock.charging({ tenant: 'a', weight: 1 }, failing, now)).toThrow(RangeError);
    expect([clock.start('a'), clock.start('b')]).toEqual([18, 0]);
  });
});
