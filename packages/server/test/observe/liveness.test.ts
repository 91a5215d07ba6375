// Tests of batches that have samples and make no steps.
import { ReplicatedBatcher } from 'dpm-native';
import Fastify from 'fastify';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Context } from '../../src/http/context.js';
import { settingsOf } from '../../src/config/config.js';
import { Liveness } from '../../src/observe/liveness.js';
import { Registry } from '../../src/models/registry.js';
import type { ServedModel, ServedPixels } from '../../src/models/served.js';
import { kserveRoutes } from '../../src/apis/kserve/route.js';
import { probeRoutes } from '../../src/http/routes/probes.js';

interface Counts {
  steps: number;
  resident: number;
  waiting: number;
}
const modelOf = (id: string, batcher: object): ServedModel => ({ id, batcher }) as ServedModel;
/** A batch whose full step takes as many milliseconds as said, of 4 rows. */
const batchOf = (counts: Counts, milliseconds = 100, slowdown = 1): object => ({
  capacity: { rows: 4, rowsPerSecond: 4000 / milliseconds },
  stats: () => ({ ...counts, slowdown }),
});

let liveness: Liveness;
const working: ServedModel[] = [];
const toldAfter = (seconds: number): string[] => [`digits has samples and has made no step for ${seconds} seconds`];

beforeEach(() => {
  vi.useFakeTimers();
  working.length = 0;
  liveness = new Liveness({ working });
});
afterEach(() => {
  liveness.close();
  vi.useRealTimers();
});

describe('a batch', () => {
  it.each(['resident', 'waiting'] as const)('with %s samples is silent after a minute without a step', (where) => {
    const counts = { steps: 7, resident: 0, waiting: 0, [where]: 2 };
    working.push(modelOf('digits', batchOf(counts)), modelOf('idle', batchOf({ steps: 3, resident: 0, waiting: 0 })));
    vi.advanceTimersByTime(59_000);
    expect(liveness.reasons()).toEqual([]);
    vi.advanceTimersByTime(6000);
    expect(liveness.reasons()).toEqual(toldAfter(60));
    ++counts.steps;
    expect(liveness.reasons()).toEqual([]);
    vi.advanceTimersByTime(59_000);
    expect(liveness.reasons()).toEqual([]);
    vi.advanceTimersByTime(1000);
    expect(liveness.reasons()).toEqual(toldAfter(60));
  });

  it('that had nothing to do has a minute from then on', () => {
    const counts = { steps: 7, resident: 0, waiting: 0 };
    working.push(modelOf('digits', batchOf(counts)));
    vi.advanceTimersByTime(600_000);
    expect(liveness.reasons()).toEqual([]);
    counts.waiting = 1;
    vi.advanceTimersByTime(55_000);
    expect(liveness.reasons()).toEqual([]);
    vi.advanceTimersByTime(5000);
    expect(liveness.reasons()).toEqual(toldAfter(60));
  });

  it.each([
    { milliseconds: 6000, slowdown: 1, seconds: 60 },
    { milliseconds: 9000, slowdown: 1, seconds: 90 },
    { milliseconds: 9000, slowdown: 2.5, seconds: 225 },
  ])('has the time of ten full steps, $milliseconds ms each, $slowdown times as slow now', (given) => {
    const counts = { steps: 7, resident: 1, waiting: 0 };
    working.push(modelOf('digits', batchOf(counts, given.milliseconds, given.slowdown)));
    liveness.reasons();
    vi.advanceTimersByTime(1000 * given.seconds - 1);
    expect(liveness.reasons()).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(liveness.reasons()).toEqual(toldAfter(given.seconds));
  });

  it('that is silent is found among replicas that are not', () => {
    const silent = { steps: 7, resident: 1, waiting: 0 };
    const busy = { steps: 0, resident: 1, waiting: 0 };
    const batchers = [batchOf(busy), batchOf(silent)];
    working.push(
      modelOf('digits', Object.create(ReplicatedBatcher.prototype, { batchers: { value: batchers } }) as object),
    );
    for (let i = 0; i < 13; ++i) {
      vi.advanceTimersByTime(5000);
      ++busy.steps;
    }
    expect(liveness.reasons()).toEqual(toldAfter(60));
    ++silent.steps;
    expect(liveness.reasons()).toEqual([]);
  });

  it('is looked at no more after the end', () => {
    const batch = { ...batchOf({ steps: 0, resident: 1, waiting: 0 }), stats: vi.fn(() => ({ steps: 0 })) };
    const { stats } = batch;
    working.push(modelOf('digits', batch));
    vi.advanceTimersByTime(10_000);
    const calls = stats.mock.calls.length;
    expect(calls).toBeGreaterThan(0);
    liveness.close();
    vi.advanceTimersByTime(60_000);
    expect(stats).toHaveBeenCalledTimes(calls);
  });
});

it('a silent batch is told of by the probes', async () => {
  const counts = { steps: 7, resident: 1, waiting: 0 };
  working.push(modelOf('digits', batchOf(counts)));
  const app = Fastify();
  const registry = { models: working, failed: [], unloadable: new Map() };
  const context = {
    settings: { metricsPort: 0 },
    registry,
    liveness,
    state: { isDraining: false },
  } as unknown as Context;
  probeRoutes(app, context);
  kserveRoutes(app, context);
  const live = async (): Promise<unknown[]> => {
    const answers = await Promise.all([app.inject('/livez'), app.inject('/v2/health/live')]);
    return answers.flatMap((answer) => [answer.statusCode, answer.json()]);
  };
  expect(await live()).toEqual([200, { status: 'alive' }, 200, { live: true }]);
  vi.advanceTimersByTime(65_000);
  expect(await live()).toEqual([503, { status: 'silent', reasons: toldAfter(65) }, 503, { live: false }]);
  await app.close();
});

it('models that are about to go are looked at, too, and those that work are not silent', async () => {
  vi.useRealTimers();
  const put = { path: 'mnist', device: 'cpu', rows: 1 };
  const registry = await Registry.open(settingsOf({ models: [put] }));
  const quick = new Liveness(registry, 600);
  const before = registry.get('mnist') as ServedPixels;
  const running = before.batcher.sample({ sampler: 'ddpm', steps: 1000, seed: 1 });
  await registry.put('mnist', put);
  expect(registry.working).toContain(before);
  expect(registry.models).not.toContain(before);
  let longest = 0;
  const timer = setInterval(() => (longest = Math.max(longest, quick.reasons().length)), 50);
  await running;
  clearInterval(timer);
  expect(longest).toBe(0);
  quick.close();
  await registry.close();
});
