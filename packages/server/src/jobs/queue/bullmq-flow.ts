import type { FlowJob, Job as Queued, JobsOptions, Queue } from 'bullmq';
import Type, { type Static } from 'typebox';

import { mismatchOf } from '../../base/schema.js';
import { ATTEMPTS, BACKOFF } from '../failure.js';
import { chunkCount, isJobId, jobSchema, queueOf, type Job } from '../job.js';
import { JOBS } from './redis.js';
import type { ChunkFailure } from '../store.js';

/** Seconds for which the queue remembers chunks that are done, and chunks that have failed. */
const REMEMBER_DONE = 86_400;
const REMEMBER_FAILED = 604_800;

/** The schema of a job's data in the queue. */
const queuedJobSchema = Type.Object({
  job: jobSchema,
  /** The number of times that failed chunks were sent again. Each time they are a new flow. */
  round: Type.Integer({ minimum: 0 }),
  /** The number of chunks that were done before this round. */
  before: Type.Integer({ minimum: 0 }),
  isCancelled: Type.Boolean(),
});

/** A job's data in the queue. */
export type QueuedJob = Readonly<Static<typeof queuedJobSchema>>;

/** The schema of a chunk's data in the queue. It names its job only, as there may be thousands of chunks of a large job. */
export const queuedChunkSchema = Type.Object({ id: jobSchema.properties.id, chunk: Type.Integer({ minimum: 0 }) });

/** A chunk's data in the queue. */
export type QueuedChunk = Static<typeof queuedChunkSchema>;

/** BullMQ's priorities: the least goes first, but 0 is before all of them. */
const priorities = { high: 1, normal: 2, low: 3 } as const;

/** The id of a round of a job. */
export function roundId(id: string, round: number): string {
  return round === 0 ? id : `${id}.${round}`;
}

/**
 * Finds the job of an id; undefined where there is none. Other names in Redis, and data that others have put into the queue, do not
 * count.
 */
export async function queuedJob(queue: Queue<QueuedJob>, id: string): Promise<Queued<QueuedJob> | undefined> {
  const found = isJobId(id) ? await queue.getJob(id) : undefined;
  return found !== undefined && isQueuedJob(found.data) ? found : undefined;
}

/** Tells whether something is a job's data in the queue. */
export function isQueuedJob(data: unknown): data is QueuedJob {
  return mismatchOf(queuedJobSchema, data) === undefined;
}

/** Makes a flow in which chunks are children of their job, so that the job ends after them. */
export function flowOf(
  queued: QueuedJob,
  chunks: Iterable<number>,
  { keep, backoff = BACKOFF }: { keep: number; backoff?: number },
): FlowJob {
  const { job, round } = queued;
  const queueName = queueOf(job);
  const id = roundId(job.id, round);
  const tries: JobsOptions = { attempts: ATTEMPTS, backoff: { type: 'exponential', delay: backoff } };
  const age = Math.ceil(keep / 1000);
  const priority = priorities[job.body.priority ?? 'normal'];
  return {
    name: 'job',
    queueName: JOBS,
    data: queued,
    opts: { jobId: id, ...tries, removeOnComplete: { age }, removeOnFail: { age } },
    children: Array.from(chunks, (chunk) => ({
      name: 'chunk',
      queueName,
      data: { id: job.id, chunk } satisfies QueuedChunk,
      opts: {
        jobId: `${id}-${chunk}`,
        ...tries,
        priority,
        removeOnComplete: { age: REMEMBER_DONE },
        removeOnFail: { age: REMEMBER_FAILED },
        // Other chunks are drawn even if this one fails.
        ignoreDependencyOnFailure: true,
      },
    })),
  };
}

/** All chunks of a job. */
export function allChunks(job: Job): Iterable<number> {
  return Array.from({ length: chunkCount(job) }, (_, chunk) => chunk);
}

/** The text of an error in the queue. */
export function reasonOf({ code, message }: Pick<ChunkFailure, 'code' | 'message'>): string {
  return `${code}: ${message}`;
}

/** Reads the failures of chunks from the queue's texts, which have the keys of chunks. */
export function failuresOf(reasons: Readonly<Record<string, string>>): ChunkFailure[] {
  return Object.entries(reasons).map(([key, reason]) => {
    const chunk = Number(/-(\d+)$/.exec(key)?.[1] ?? 0);
    // Other texts come from BullMQ itself, for chunks whose workers died again and again.
    const [, code = 'ERR_DPM_INTERNAL', message = reason] = /^(ERR_DPM_\w+): (.*)$/s.exec(reason) ?? [];
    return { chunk, code, message };
  });
}
