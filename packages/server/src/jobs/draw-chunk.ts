import { setTimeout as sleep } from 'node:timers/promises';

import { DpmError } from 'dpm-native';

import { type DrawingContext, drawn } from '../samples/drawing.js';
import type { Encoder } from '../samples/encode.js';
import { samplingOf, STANDARD_DTYPE } from '../samples/sample-request.js';
import type { Registry } from '../models/registry.js';
import type { ServedModel } from '../models/served.js';
import { scopes, unlimited } from '../base/client.js';
import { engineClass } from './engine-class.js';
import { chunkFormat, chunkRequest, chunkSize, contentTypes, type Job } from './job.js';
import type { DrawChunk, RoomFor } from './store.js';

/** The parts of a server that draw chunks of jobs. */
export interface ChunkContext extends DrawingContext {
  readonly registry: Registry;
  readonly pool: Encoder;
}

/** Finds the model for a job: one with the same files, on an engine of the job's class. */
function modelOf({ registry }: Pick<ChunkContext, 'registry'>, { digest, engine }: Job): ServedModel | undefined {
  const { failed } = registry;
  return registry.models.find(
    (served) =>
      served.digest === digest && (engine === 'any' || engine === engineClass(served)) && !failed.includes(served.id),
  );
}

/** The number of chunks that keep a batch full, with some waiting. */
export function roomOf({ batcher }: Pick<ServedModel, 'batcher'>, chunk: number): number {
  return Math.ceil((2 * batcher.capacity.rows) / chunk);
}

/** Counts the chunks of a job that a server's models can draw at once. */
export function roomFor(context: Pick<ChunkContext, 'registry'>): RoomFor {
  return (job) => {
    const served = modelOf(context, job);
    return served === undefined ? 0 : roomOf(served, chunkSize(job.body));
  };
}

/** Repeats work until the batch has room for it. */
async function patiently<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DpmError) || error.code !== 'ERR_DPM_OVERLOADED') throw error;
      await sleep(Math.min(error.retryAfterMs ?? 1000, 10_000), undefined, { signal });
    }
  }
}

/** Draws chunks in the batches of a server's models. */
export function drawChunk(context: ChunkContext): DrawChunk {
  return async (job, chunk, signal) => {
    const served = modelOf(context, job);
    if (served === undefined) throw new DpmError('ERR_DPM_CLOSED', 'the model of the job is not loaded');
    // The client's scopes were checked when the job was taken in.
    const { tenant: name, weight } = job;
    const client = { name, weight, scopes: new Set(scopes), requestsPerMinute: Infinity, quota: unlimited };
    const sampling = samplingOf(chunkRequest(job, chunk), served, { client, isStream: false });
    const parent = context.tracing.restored(job.trace ?? {});
    const began = performance.now();
    const format = chunkFormat(job);
    const dtype = format === 'png' ? 'u8' : (job.body.dtype ?? STANDARD_DTYPE);
    const { images } = await patiently(signal, () => drawn(context, sampling, dtype, signal, parent));
    const bytes = await context.pool.encode({ form: contentTypes[format], images });
    context.metrics.chunks.inc({ outcome: 'done' });
    context.metrics.chunkSeconds.observe((performance.now() - began) / 1e3);
    return bytes;
  };
}
