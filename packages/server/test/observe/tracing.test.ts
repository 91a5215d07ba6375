// Tests of the spans that a server records with OpenTelemetry.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { context, propagation, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { ThreadPool } from '../../src/threads/pool.js';
import { Tracing } from '../../src/observe/tracing.js';
import { metric, post, sample, serveDigits, until } from '../support.js';

const spool = mkdtempSync(join(tmpdir(), 'spool-'));
serveDigits({ models: [{ path: 'mnist', device: 'cpu', rows: 2, maxWait: 2000 }], spool });
afterAll(() => {
  rmSync(spool, { recursive: true });
});

const traceId = '0af7651916cd43dd8448eb211c80319c';
const spanId = 'b7ad6b7169203331';
const traceparent = `00-${traceId}-${spanId}-01`;
const exporter = new InMemorySpanExporter();

function setUp(): void {
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const propagators = [new W3CTraceContextPropagator(), new W3CBaggagePropagator()];
  propagation.setGlobalPropagator(new CompositePropagator({ propagators }));
}
function tearDown(): void {
  trace.disable();
  context.disable();
  propagation.disable();
  exporter.reset();
}
afterEach(tearDown);

/** The spans with a name, in the order in which they ended. */
const spans = (name: string): ReadableSpan[] => exporter.getFinishedSpans().filter((span) => span.name === name);
const milliseconds = ([seconds, nanoseconds]: [number, number]): number => 1e3 * seconds + nanoseconds / 1e6;

describe('a request', () => {
  beforeEach(setUp);

  it('has spans below the one that its header names, whose times add up', async () => {
    const from = Date.now();
    const answer = await sample({ count: 3, steps: 4 }, { traceparent, tracestate: 'other=1' });
    const to = Date.now();
    expect(answer.status).toBe(200);
    const all = exporter.getFinishedSpans();
    expect(all.map(({ name }) => name)).toEqual(['dpm.queue', 'dpm.run', 'dpm.encode']);
    for (const span of all) {
      expect(span.spanContext().traceId).toBe(traceId);
      expect(span.parentSpanContext?.spanId).toBe(spanId);
      expect(span.spanContext().traceState?.serialize()).toBe('other=1');
      expect(span.status.code).toBe(SpanStatusCode.UNSET);
      expect(milliseconds(span.startTime)).toBeGreaterThanOrEqual(from - 500);
      expect(milliseconds(span.endTime)).toBeLessThanOrEqual(to + 500);
    }
    const [queue, run, encode] = all as [ReadableSpan, ReadableSpan, ReadableSpan];
    expect(run.attributes).toEqual({
      'dpm.model': 'mnist',
      'dpm.sampler': 'ddim',
      'dpm.records': 12,
      'dpm.rows': 12,
    });
    expect(milliseconds(queue.duration)).toBeCloseTo(answer.json.queuedMs as number, 1);
    expect(milliseconds(run.duration)).toBeCloseTo(answer.json.runMs as number, 1);
    expect(milliseconds(run.startTime)).toBeCloseTo(milliseconds(queue.endTime), 1);
    expect(milliseconds(encode.startTime)).toBeGreaterThan(milliseconds(run.endTime) - 1);
  });

  it('without a header has spans of a trace of their own each', async () => {
    await sample({ steps: 1 });
    expect(spans('dpm.run')).toHaveLength(1);
    expect(spans('dpm.run')[0]?.parentSpanContext).toBeUndefined();
  });

  it('has them in the other forms, too', async () => {
    await sample({ steps: 2 }, { traceparent, accept: 'text/event-stream' });
    await post('/v1/images/generations', { model: 'mnist', steps: 2 }, { traceparent });
    await post('/v1/images/generations', { model: 'mnist', steps: 2, stream: true }, { traceparent });
    await until(() => spans('dpm.run').length === 3);
    expect(spans('dpm.run').map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual([
      spanId,
      spanId,
      spanId,
    ]);
  });

  it('that is a job has them where its chunks are drawn', async () => {
    const job = { model: 'mnist', sampler: 'ddim', steps: 2, seed: 1, count: 3, chunk: 2 };
    expect((await post('/v1/jobs', job, { traceparent })).status).toBe(202);
    await until(() => spans('dpm.run').length === 2);
    for (const span of spans('dpm.run')) {
      expect(span.spanContext().traceId).toBe(traceId);
      expect(span.parentSpanContext?.spanId).toBe(spanId);
    }
  });

  it('that is refused says why', async () => {
    const refused = await sample({ steps: 1000, deadlineMs: 0.01 }, { traceparent });
    expect(refused.json.code).toBe('ERR_DPM_DEADLINE');
    const [span, ...others] = exporter.getFinishedSpans();
    expect(others).toEqual([]);
    expect(span).toMatchObject({ name: 'dpm.queue', status: { code: SpanStatusCode.ERROR } });
    expect(span?.attributes).toEqual({ 'error.type': 'ERR_DPM_DEADLINE' });
    expect(span?.parentSpanContext?.spanId).toBe(spanId);
  });

  it('whose answer cannot be written says so', async () => {
    const encoding = vi.spyOn(ThreadPool.prototype, 'encode').mockRejectedValueOnce(new Error('no thread'));
    expect((await sample({ steps: 1 }, { traceparent })).status).toBe(500);
    encoding.mockRestore();
    const [span] = spans('dpm.encode');
    expect(span?.status.code).toBe(SpanStatusCode.ERROR);
    expect(span?.attributes).toEqual({ 'error.type': 'ERR_DPM_INTERNAL' });
  });

  it('that ends while it runs says why', async () => {
    const left = new AbortController();
    const running = post(
      '/v1/samples',
      { model: 'mnist', sampler: 'ddpm', steps: 1000, seed: 1 },
      { traceparent },
      left.signal,
    );
    await until(async () => (await metric('dpm_samples_resident')) > 0);
    left.abort();
    await expect(running).rejects.toThrow();
    await until(() => spans('dpm.run').length === 1);
    const [queue] = spans('dpm.queue');
    const [run] = spans('dpm.run');
    expect(queue?.status.code).toBe(SpanStatusCode.UNSET);
    expect(run?.status.code).toBe(SpanStatusCode.ERROR);
    expect(run?.attributes).toMatchObject({ 'error.type': 'ERR_DPM_ABORTED', 'dpm.records': 1000 });
    expect(milliseconds(run!.duration)).toBeGreaterThan(0);
    expect(run?.startTime).toEqual(queue?.endTime);
  });
});

describe('a context', () => {
  beforeEach(setUp);

  it('is the active one before that of the headers', async () => {
    const tracing = await Tracing.open();
    const span = trace.getTracer('test').startSpan('request');
    const active = context.with(trace.setSpan(ROOT_CONTEXT, span), () => tracing.contextOf({ traceparent }));
    expect(trace.getSpan(active!)).toBe(span);
    const named = tracing.contextOf({ traceparent });
    expect(trace.getSpanContext(named!)).toMatchObject({ traceId, spanId });
  });

  it('can be carried and restored', async () => {
    const tracing = await Tracing.open();
    const carried = tracing.carried(tracing.contextOf({ traceparent, tracestate: 'other=1', baggage: 'user=me' }));
    expect(carried).toEqual({ traceparent, tracestate: 'other=1' });
    const restored = tracing.restored(JSON.parse(JSON.stringify(carried)) as Record<string, string>);
    tracing.record(restored, { name: 'dpm.run', from: 1, to: 3 });
    const [span] = spans('dpm.run');
    expect(span?.parentSpanContext).toMatchObject({ traceId, spanId });
    expect(milliseconds(span!.duration)).toBeCloseTo(2, 3);
    expect(milliseconds(span!.startTime)).toBeCloseTo(performance.timeOrigin + 1, 1);
    expect(tracing.carried(undefined)).toEqual({});
  });

  it('that is restored is not below what is active then', async () => {
    const tracing = await Tracing.open();
    const span = trace.getTracer('test').startSpan('other');
    const restored = context.with(trace.setSpan(ROOT_CONTEXT, span), () => tracing.restored({}));
    expect(trace.getSpan(restored!)).toBeUndefined();
  });
});

describe('without traces', () => {
  it('a server works whose process has set up none', async () => {
    expect((await sample({ steps: 2 }, { traceparent })).status).toBe(200);
    expect((await sample({ steps: 1000, deadlineMs: 0.01 }, { traceparent })).status).toBe(503);
  });

  it('nothing is done where the API is not there', async () => {
    const absent = 'no-such-package';
    const tracing = await Tracing.open(
      () => import(absent) as ReturnType<NonNullable<Parameters<typeof Tracing.open>[0]>>,
    );
    setUp();
    expect(tracing.contextOf({ traceparent })).toBeUndefined();
    expect(tracing.carried(undefined)).toEqual({});
    expect(tracing.restored({ traceparent })).toBeUndefined();
    tracing.record(undefined, { name: 'dpm.run', from: 0, to: 1 });
    expect(exporter.getFinishedSpans()).toEqual([]);
  });

  it('an API that is broken is told', async () => {
    await expect(Tracing.open(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  });
});
