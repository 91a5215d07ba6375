import type { FlowJob, Job as Queued, JobsOptions, Queue } from 'bullmq';
import Type, { type Static } from 'typebox';

import { mismatchOf } from '../../base/schema.js';
import { ATTEMPTS, BACKOFF } from '../failure.js';
import { chunkCount, isJobId, jobSchema, queueOf, type Job } from '../job.js';
import { JOBS } from './redis.js';
import type { ChunkFailure } from '../store.js';

/** Seconds that chunks are remembered for when they are done, and when they have failed. */
const REMEMBER_DONE = 86_400;
const REMEMBER_FAILED = 604_800;

/** What the queue has of a job. */
const queuedJobSchema = Type.Object({
  job: jobSchema,
  /** Times that what had failed was sent again; the last of them is a flow of its own. */
  round: Type.Integer({ minimum: 0 }),
  /** Chunks that were done before this round. */
  before: Type.Integer({ minimum: 0 }),
  isCancelled: Type.Boolean(),
});

/** What the queue has of a job. */
export type QueuedJob = Readonly<Static<typeof queuedJobSchema>>;

/** What the queue has of a chunk. Its job is not a part of it: there may be thousands, and a job may have a label for each sample. */
export const queuedChunkSchema = Type.Object({ id: jobSchema.properties.id, chunk: Type.Integer({ minimum: 0 }) });

/** What the queue has of a chunk. */
export type QueuedChunk = Static<typeof queuedChunkSchema>;

/** The lesser goes first; 0 would be before all others. */
const priorities = { high: 1, normal: 2, low: 3 } as const;

/** The id of a round of a job. */
export function roundId(id: string, round: number): string {
  return round === 0 ? id : `${id}.${round}`;
}

/**
 * The job of an id; undefined: there is none. Whatever else has a name in Redis is no job, and neither is what others have put into the
 * queue.
 */
export async function queuedJob(queue: Queue<QueuedJob>, id: string): Promise<Queued<QueuedJob> | undefined> {
  const found = isJobId(id) ? await queue.getJob(id) : undefined;
  return found !== undefined && isQueuedJob(found.data) ? found : undefined;
}

/** Whether something is what the queue has of a job. */
export function isQueuedJob(data: unknown): data is QueuedJob {
  return mismatchOf(queuedJobSchema, data) === undefined;
}

/** A job's chunks as children of itself, so that it ends when they have. */
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
        // The others are drawn whatever comes of one.
        ignoreDependencyOnFailure: true,
      },
    })),
  };
}

/** All chunks of a job. */
export function allChunks(job: Job): Iterable<number> {
  return Array.from({ length: chunkCount(job) }, (_, chunk) => chunk);
}

/** What the queue keeps of an error. */
export function reasonOf({ code, message }: Pick<ChunkFailure, 'code' | 'message'>): string {
  return `${code}: ${message}`;
}

/** The failures of chunks as the queue has them, by the keys of its jobs. */
export function failuresOf(reasons: Readonly<Record<string, string>>): ChunkFailure[] {
  return Object.entries(reasons).map(([key, reason]) => {
    const chunk = Number(/-(\d+)$/.exec(key)?.[1] ?? 0);
    // Others are the queue's own: of chunks whose worker died time and again.
    const [, code = 'ERR_DPM_INTERNAL', message = reason] = /^(ERR_DPM_\w+): (.*)$/s.exec(reason) ?? [];
    return { chunk, code, message };
  });
}
