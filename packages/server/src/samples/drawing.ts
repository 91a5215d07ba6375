import { type BatchEvent, DpmError, type Priority } from 'dpm-native';

import { sentImages, type SentImages } from './encode.js';
import type { Metrics, Outcome } from '../observe/metrics.js';
import type { Client } from '../base/client.js';
import { ServerError } from '../base/problem.js';
import type { Registry } from '../models/registry.js';
import type { ServedModel } from '../models/served.js';
import type { Sampling } from './sample-request.js';
import { SamplingTrace } from './sampling-trace.js';
import type { TraceContext, Tracing } from '../observe/tracing.js';

/** The parts of a server that draw samples. */
export interface DrawingContext {
  readonly registry: Pick<Registry, 'noteError'>;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
}

/** The last event of a request that is done. */
export type Done = Extract<BatchEvent, { type: 'done' }>;

function outcomeOf(error: unknown): Outcome {
  if (error instanceof ServerError && error.status === 504) return 'late';
  if (!(error instanceof DpmError)) return 'failed';
  if (error.code === 'ERR_DPM_ABORTED') return 'cancelled';
  return error.code === 'ERR_DPM_OVERLOADED' || error.code === 'ERR_DPM_DEADLINE' ? 'refused' : 'failed';
}

/** Translates an error of a running request. If its deadline has passed, waiting for a better time does not help. */
function whileRunning(error: unknown): unknown {
  if (!(error instanceof DpmError) || error.code !== 'ERR_DPM_DEADLINE') return error;
  return new ServerError('ERR_DPM_DEADLINE', error.message, { status: 504 });
}

function countFailure(metrics: Metrics, model: string, error: unknown): void {
  const outcome = outcomeOf(error);
  metrics.outcomes.inc({ model, outcome });
  if (outcome !== 'refused') return;
  const reason = (error as DpmError).code === 'ERR_DPM_DEADLINE' ? 'deadline' : 'wait';
  metrics.refused.inc({ model, reason });
}

/**
 * Refuses and counts a request for which its model has no room, before anything is made of it: what a server that is full spends on
 * those that it refuses is lost to those that it has taken.
 *
 * @throws {@link DpmError} `ERR_DPM_OVERLOADED`.
 */
export function requireRoom(
  { metrics }: Pick<DrawingContext, 'metrics'>,
  { id, batcher }: ServedModel,
  { name }: Client,
  priority: Priority | undefined,
): void {
  try {
    batcher.requireRoom({ tenant: name, priority });
  } catch (error) {
    countFailure(metrics, id, error);
    throw error;
  }
}

/** Counts a request for samples. */
function countOutcome(
  { metrics }: Pick<DrawingContext, 'metrics'>,
  { served, sampler, count }: Sampling,
  ended: Done | { error: unknown },
): void {
  const model = served.id;
  if ('error' in ended) {
    countFailure(metrics, model, ended.error);
    return;
  }
  metrics.outcomes.inc({ model, outcome: 'done' });
  metrics.samples.inc({ model, sampler }, count);
  metrics.evaluations.inc({ model }, ended.evaluations);
  metrics.queueSeconds.observe({ model }, ended.queued / 1e3);
  metrics.runSeconds.observe({ model }, ended.ran / 1e3);
}

/**
 * Yields the events of a request for samples, and counts the request however it ends. `signal` ends it.
 *
 * @param parent - The parent of its spans.
 * @throws {@link ServerError} of status 504 where its deadline passes while it runs; as `batcher.stream` does.
 */
export async function* drawing(
  context: DrawingContext,
  sampling: Sampling,
  signal: AbortSignal,
  parent?: TraceContext,
): AsyncGenerator<BatchEvent, void, void> {
  const trace = new SamplingTrace(context.tracing, parent, sampling);
  let isRunning = false;
  let ended: Done | { error: unknown } = { error: new DpmError('ERR_DPM_ABORTED', 'the reader has left') };
  try {
    for await (const event of sampling.events(signal)) {
      isRunning = true;
      trace.see(event);
      if (event.type === 'done') ended = event;
      yield event;
    }
  } catch (thrown) {
    context.registry.noteError(sampling.served, thrown);
    const error = isRunning ? whileRunning(thrown) : thrown;
    ended = { error };
    throw error;
  } finally {
    countOutcome(context, sampling, ended);
    trace.end(ended);
  }
}

/** Draws all samples of a request. */
export interface Drawn {
  images: SentImages;
  done: Done;
}

/**
 * All samples of a request.
 *
 * @throws The errors of {@link drawing}.
 */
export async function drawn(
  context: DrawingContext,
  sampling: Sampling,
  dtype: 'u8' | 'f32',
  signal: AbortSignal,
  parent: TraceContext | undefined,
): Promise<Drawn> {
  const { served, count, shape } = sampling;
  const [channels, height, width] = shape;
  const elements = channels * height * width;
  const values = dtype === 'u8' ? new Uint8Array(count * elements) : new Float32Array(count * elements);
  let range = served.model.range;
  for await (const event of drawing(context, sampling, signal, parent)) {
    if (event.type === 'image') {
      values.set(sentImages(event.image, dtype).values, event.sample * elements);
      range = event.image.range;
    } else if (event.type === 'done') {
      return { images: { values, shape: [count, channels, height, width], range }, done: event };
    }
  }
  throw new ServerError('ERR_DPM_INTERNAL', 'a request ended without a result');
}
