import type { Priority } from 'dpm-native';

import type { Registry } from '../models/registry.js';
import { rowsPerSecondNow } from '../models/served.js';
import { chunkCount, chunkFormat, chunkSize, queueOf, type ChunkFormat, type Job } from './job.js';
import { rowsLeft, samplesDone, type ChunkFailure, type JobPhase, type JobState } from './store.js';

/** Tells the speed that a model with a job's files has now; undefined where there is none. Each model is asked once. */
export function speedsOf({ models }: Pick<Registry, 'models'>): (job: Job) => number | undefined {
  const known = new Map<string, number | undefined>();
  return ({ digest }) => {
    if (!known.has(digest)) {
      const served = models.find((each) => each.digest === digest);
      known.set(digest, served && rowsPerSecondNow(served));
    }
    return known.get(digest);
  };
}

/** The speed that a model has now which can draw the chunks of a queue; undefined where there is none. */
export function speedOfQueue({ models }: Pick<Registry, 'models'>, queue: string): number | undefined {
  const served = models.find(({ digest }) => queue.startsWith(queueOf({ digest, engine: '' })));
  return served && rowsPerSecondNow(served);
}

/** A job as answers and `dpm jobs` show it. */
export interface JobView {
  id: string;
  object: 'job';
  state: JobPhase;
  /** The number of samples that are there, of `total`. */
  done: number;
  total: number;
  chunks: number;
  /** The samples of each chunk. */
  chunk: number;
  failedChunks: readonly ChunkFailure[];
  createdAt: string;
  /** Seconds until the job is done; null where they are not known. */
  expectedSeconds: number | null;
  model: string;
  digest: string;
  engine: string;
  sampler: string;
  seed: string;
  first: number;
  priority: Priority;
  shape: Job['shape'];
  format: ChunkFormat;
}

/** Shows a job as answers do. */
export function viewOf(state: JobState, rowsPerSecond: number | undefined): JobView {
  const { job, failures } = state;
  const { id, createdAt, digest, engine, body, shape } = job;
  const left = rowsLeft(state);
  const expectedSeconds =
    rowsPerSecond === undefined || job.rows === 0 ? null : Math.round((1000 * left) / rowsPerSecond) / 1000;
  return {
    id,
    object: 'job',
    state: state.state,
    done: samplesDone(state),
    total: body.count,
    chunks: chunkCount(job),
    chunk: chunkSize(body),
    failedChunks: failures,
    createdAt,
    expectedSeconds,
    model: body.model,
    digest,
    engine,
    sampler: body.sampler ?? 'scheduler',
    seed: String(body.seed),
    first: body.first ?? 0,
    priority: body.priority ?? 'low',
    shape,
    format: chunkFormat(job),
  };
}
