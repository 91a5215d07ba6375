import { chunkCount, chunkSize, type Job } from './job.js';

/** How far a job is. */
export const jobStates = ['queued', 'running', 'done', 'failed', 'cancelled'] as const;

/** How far a job is. */
export type JobPhase = (typeof jobStates)[number];

/** A chunk that could not be drawn. */
export interface ChunkFailure {
  readonly chunk: number;
  /** Of the error. */
  readonly code: string;
  readonly message: string;
}

/** A job and how far it is. */
export interface JobState {
  readonly job: Job;
  readonly state: JobPhase;
  /** Chunks whose samples are there. */
  readonly doneChunks: number;
  readonly failures: readonly ChunkFailure[];
}

/** Draws the samples of a chunk, as they are kept. */
export type DrawChunk = (job: Job, chunk: number, signal: AbortSignal) => Promise<Uint8Array>;

/** How many chunks of a job can be drawn here at once; 0: the model is not here. */
export type RoomFor = (job: Job) => number;

/** Where jobs wait, and where their samples are. What {@link JobStore.add} has taken survives the process. */
export interface JobStore {
  /**
   * Takes a job in, unless there is one of that id.
   *
   * @returns The job that there is now.
   */
  add(job: Job): Promise<Job>;
  /** Undefined: there is none of that id. */
  get(id: string): Promise<JobState | undefined>;
  /** The newest of all jobs that are wanted, the newest first. */
  list(isWanted?: (job: Job) => boolean): Promise<readonly JobState[]>;
  /** Ends a job that is not over. */
  cancel(id: string): Promise<void>;
  /** Draws again what has failed. */
  retry(id: string): Promise<void>;
  /** Forgets the jobs that are over, with the samples that are theirs alone. */
  purge(): Promise<number>;
  /** The samples of a chunk; undefined: they are not there. */
  chunk(job: Job, chunk: number): Promise<Uint8Array | undefined>;
  /** Resolves when a job may have changed, or after a while. */
  changed(id: string, signal: AbortSignal): Promise<void>;
  /** Takes no more chunks, and lets nobody wait any longer; chunks that are being drawn go on. */
  pause(): void;
  /** Lets go of everything; chunks that are being drawn go back. */
  close(): Promise<void>;
}

/** The order in which jobs are listed. */
export function newestFirst(a: Pick<Job, 'createdAt'>, b: Pick<Job, 'createdAt'>): number {
  return a.createdAt < b.createdAt ? 1 : -1;
}

/** Whether nothing more happens to a job. */
export function isOver({ state }: Pick<JobState, 'state'>): boolean {
  return state === 'done' || state === 'failed' || state === 'cancelled';
}

/** Samples of a job that are there. */
export function samplesDone({ job, doneChunks }: JobState): number {
  return doneChunks === chunkCount(job) ? job.body.count : doneChunks * chunkSize(job.body);
}

/** Rows of the evaluations that a job still waits for. */
export function rowsLeft(state: JobState): number {
  if (isOver(state)) return 0;
  const chunks = chunkCount(state.job);
  return (state.job.rows * (chunks - state.doneChunks - state.failures.length)) / chunks;
}
