import { DpmError } from 'dpm-native';
import type { FastifyBaseLogger } from 'fastify';

import type { JobFigures } from '../../observe/metrics.js';
import type { Settings } from '../../config/settings.js';
import { BullmqStore } from '../queue/bullmq-store.js';
import { JobWorker } from '../queue/bullmq-worker.js';
import type { Workplace } from '../queue/takers.js';
import { type ChunkContext, drawChunk, roomFor, roomOf } from '../draw-chunk.js';
import { engineClass } from '../engine-class.js';
import { chunkSize, queueOf } from '../job.js';
import { SpoolStore } from '../spool/spool-store.js';
import { jobStates, rowsLeft, type JobState, type JobStore } from '../store.js';
import { speedOfQueue, speedsOf } from '../view.js';

/** The parts of a server or a worker that jobs need. */
export interface JobsContext extends ChunkContext {
  readonly settings: Pick<Settings, 'spool' | 'queue' | 'results' | 'keep' | 'keepBytes'>;
  readonly log: Pick<FastifyBaseLogger, 'warn' | 'error'>;
}

/** Counts the jobs in each state, and the time that a machine like this one needs for the work that they wait for. */
async function figuresOf({ registry }: JobsContext, store: JobStore): Promise<JobFigures> {
  const { jobs, rowsLeft } = await store.figures();
  const backlogSeconds = new Map<string, number>();
  for (const [queue, rows] of rowsLeft) {
    const rowsPerSecond = speedOfQueue(registry, queue);
    if (rowsPerSecond !== undefined) backlogSeconds.set(queue, rows / rowsPerSecond);
  }
  return { jobs: new Map(jobStates.map((name) => [name, jobs.get(name) ?? 0])), rowsLeft, backlogSeconds };
}

/** Makes a listener that counts and logs chunks that failed. */
function tellingOfFailures({ metrics, log }: JobsContext): (job: string, chunk: number, error: unknown) => void {
  return (job, chunk, error) => {
    metrics.chunks.inc({ outcome: 'failed' });
    log.warn({ job, chunk, err: error }, 'a chunk failed');
  };
}

/** Makes a clock that tells how long a job still takes, where a model with its files is loaded. */
function secondsLeftIn({ registry }: JobsContext): (state: JobState) => number | undefined {
  return (state) => {
    const rowsPerSecond = speedsOf(registry)(state.job);
    return rowsPerSecond === undefined || state.job.rows === 0 ? undefined : rowsLeft(state) / rowsPerSecond;
  };
}

async function openSpool(context: JobsContext, folder: string): Promise<SpoolStore> {
  const { registry, settings } = context;
  const store = await SpoolStore.open(folder, {
    keep: settings.keep,
    keepBytes: settings.keepBytes,
    secondsLeft: secondsLeftIn(context),
    draw: drawChunk(context),
    roomFor: roomFor(context),
    onFailure: tellingOfFailures(context),
    onTrouble: telling(context, 'the spool cannot be written'),
  });
  registry.onChange(() => {
    store.wake();
  });
  return store;
}

/** Makes a listener that logs errors which come again and again, as of lost connections, once for each time. */
function telling({ log }: JobsContext, message: string): (error: unknown) => void {
  let toldAt = -Infinity;
  return (error) => {
    if (performance.now() - toldAt > 10_000) log.error({ err: error }, message);
    toldAt = performance.now();
  };
}

function tellingOfRedis(context: JobsContext): (error: unknown) => void {
  return telling(context, 'the queue cannot be reached');
}

function openStore(context: JobsContext): Promise<JobStore> | undefined {
  const { spool, queue, results, keep, keepBytes } = context.settings;
  if (spool !== undefined) return openSpool(context, spool);
  if (queue === undefined || results === undefined) return undefined;
  return BullmqStore.open({
    queue,
    results,
    keep,
    keepBytes,
    cleans: true,
    secondsLeft: secondsLeftIn(context),
    onTrouble: telling(context, 'samples cannot be removed'),
    onError: tellingOfRedis(context),
  });
}

/**
 * Opens the store of a server's jobs; undefined where the server takes no jobs.
 *
 * @throws {@link DpmError} as {@link SpoolStore.open} and {@link BullmqStore.open} do.
 */
export async function openJobs(context: JobsContext): Promise<JobStore | undefined> {
  const store = await openStore(context);
  if (store !== undefined) context.metrics.readJobs(() => figuresOf(context, store));
  return store;
}

/** The queues whose chunks a server's models can draw. */
function workplaces({ registry }: JobsContext): Workplace[] {
  const rooms = new Map<string, number>();
  for (const served of registry.models) {
    for (const engine of [engineClass(served), 'any']) {
      const queue = queueOf({ digest: served.digest, engine });
      rooms.set(queue, (rooms.get(queue) ?? 0) + roomOf(served, chunkSize({})));
    }
  }
  return [...rooms].map(([queue, concurrency]) => ({ queue, concurrency }));
}

/**
 * Starts to draw the chunks of a queue with the models of a server.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` without a queue, and as {@link JobWorker.open} does.
 */
export async function openWorker(context: JobsContext): Promise<JobWorker> {
  const { queue, results } = context.settings;
  if (queue === undefined || results === undefined) {
    throw new DpmError('ERR_DPM_CONFIG', 'a worker takes a queue, and results to keep samples in');
  }
  const onError = tellingOfRedis(context);
  const worker = await JobWorker.open({
    queue,
    results,
    places: workplaces(context),
    draw: drawChunk(context),
    onError,
    onFailure: tellingOfFailures(context),
    onTrouble: telling(context, 'the results cannot be used'),
  });
  context.registry.onChange(() => {
    worker.place(workplaces(context)).catch(onError);
  });
  return worker;
}
