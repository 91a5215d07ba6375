import type { Priority } from 'dpm-native';

import type { Registry } from '../models/registry.js';
import { chunkCount, chunkFormat, chunkSize, type ChunkFormat, type Job } from './job.js';
import { rowsLeft, samplesDone, type ChunkFailure, type JobPhase, type JobState } from './store.js';

/** What a model of a job's files can do here; undefined: there is none. */
export function rowsPerSecondOf({ models }: Pick<Registry, 'models'>, job: Job): number | undefined {
  return models.find(({ digest }) => digest === job.digest)?.batcher.capacity.rowsPerSecond;
}

/** A job as answers and `dpm jobs` tell of it. */
export interface JobView {
  id: string;
  object: 'job';
  state: JobPhase;
  /** Samples that are there, of `total`. */
  done: number;
  total: number;
  chunks: number;
  /** Samples of a chunk. */
  chunk: number;
  failedChunks: readonly ChunkFailure[];
  createdAt: string;
  /** Seconds until it is done; null where nobody can tell. */
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

/** A job as answers tell of it. */
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
