// Tests of what drawing a chunk asks of a model, and of what it tells the metrics.
import { expect, it, onTestFinished, vi } from 'vitest';

import { drawChunk, type ChunkContext } from '../../src/jobs/draw-chunk.js';
import { drawn } from '../../src/samples/drawing.js';
import type * as sampleRequest from '../../src/samples/sample-request.js';
import { samplingOf } from '../../src/samples/sample-request.js';
import { jobOf } from './job-of.js';

vi.mock('../../src/samples/drawing.js', () => ({ drawn: vi.fn() }));
vi.mock('../../src/samples/sample-request.js', async (load) => ({
  ...(await load<typeof sampleRequest>()),
  samplingOf: vi.fn(),
}));

const bytes = Buffer.from('chunk');

function context() {
  const metrics = { chunks: { inc: vi.fn() }, chunkSeconds: { observe: vi.fn() } };
  const made = {
    registry: { models: [{ id: 'm', digest: 'ab'.repeat(32) }], failed: [] },
    pool: { encode: () => Promise.resolve(bytes) },
    tracing: { restored: () => undefined },
    metrics,
  };
  return { made: made as unknown as ChunkContext, metrics };
}

it('is for the tenant of the job with its weight, and takes seconds', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  vi.mocked(drawn).mockImplementation(() => {
    vi.advanceTimersByTime(2500);
    return Promise.resolve({} as Awaited<ReturnType<typeof drawn>>);
  });
  const { made, metrics } = context();
  const job = jobOf({ engine: 'any', tenant: 'shop', weight: 3 });
  expect(await drawChunk(made)(job, 1, new AbortController().signal)).toBe(bytes);
  const [body, served, { client }] = vi.mocked(samplingOf).mock.calls[0]!;
  expect(body).toMatchObject({ first: 4, count: 4 });
  expect(served).toBe(made.registry.models[0]);
  expect(client).toMatchObject({ name: 'shop', weight: 3 });
  expect(metrics.chunkSeconds.observe.mock.calls).toEqual([[2.5]]);
  expect(metrics.chunks.inc.mock.calls).toEqual([[{ outcome: 'done' }]]);
});
