import type { Quota } from '../base/client.js';
import { chunkCount, chunkSize, type Job } from './job.js';
import type { Page, PageRequest } from './page.js';

/** The phases that a job can be in. */
export const jobStates = ['queued', 'running', 'done', 'failed', 'cancelled'] as const;

/** The phase of a job. */
export type JobPhase = (typeof jobStates)[number];

/** A chunk that could not be drawn. */
export interface ChunkFailure {
  readonly chunk: number;
  /** The code of the error. */
  readonly code: string;
  readonly message: string;
}

/** A job and its state. */
export interface JobState {
  readonly job: Job;
  readonly state: JobPhase;
  /** The number of chunks whose samples are there. */
  readonly doneChunks: number;
  readonly failures: readonly ChunkFailure[];
}

/** The figures of all jobs of a store. */
export interface StoreFigures {
  /** The number of jobs in each state that any of them is in. */
  readonly jobs: ReadonlyMap<string, number>;
  /** The rows of evaluations that jobs wait for, by queue. */
  readonly rowsLeft: ReadonlyMap<string, number>;
}

/** Draws the samples of a chunk, in the form in which they are kept. */
export type DrawChunk = (job: Job, chunk: number, signal: AbortSignal) => Promise<Uint8Array>;

/** Counts the chunks of a job that can be drawn here at once; 0 where its model is not loaded. */
export type RoomFor = (job: Job) => number;

/** A store of jobs and their samples. A job that {@link JobStore.add} has taken survives the process. */
export interface JobStore {
  /**
   * Takes a job in, unless there is one of that id.
   *
   * @param quota - What the jobs of its tenant may take, by default all there is.
   * @returns The job that the store has now.
   * @throws As `admitted` does where there is no room.
   */
  add(job: Job, quota?: Quota): Promise<Job>;
  /** Finds a job; undefined where there is none. */
  get(id: string): Promise<JobState | undefined>;
  /**
   * Lists jobs by pages, the newest first.
   *
   * @throws DpmError `ERR_DPM_ARGUMENT` for a cursor that no page has given.
   */
  list(request: PageRequest): Promise<Page<JobState>>;
  /** Counts the jobs and what they wait for, at a cost that does not grow with their number where other machines have them. */
  figures(): Promise<StoreFigures>;
  /** Ends a job that is not over. */
  cancel(id: string): Promise<void>;
  /** Draws the failed chunks again, where there is room as for a new job. */
  retry(id: string, quota?: Quota): Promise<void>;
  /** Forgets the jobs that are over, and samples that no other job has. */
  purge(): Promise<number>;
  /** Reads the samples of a chunk; undefined where they are missing. */
  chunk(job: Job, chunk: number): Promise<Uint8Array | undefined>;
  /** Resolves with true when a job may have changed, and with false after a while without a change. */
  changed(id: string, signal: AbortSignal): Promise<boolean>;
  /** Begins no more chunks, and ends all waits for changes. Chunks that are being drawn go on. */
  pause(): void;
  /** Closes the store. Chunks that are being drawn go back. */
  close(): Promise<void>;
}

/** Tells whether a job is over. */
export function isOver({ state }: Pick<JobState, 'state'>): boolean {
  return state === 'done' || state === 'failed' || state === 'cancelled';
}

/** The number of samples that a job already has. */
export function samplesDone({ job, doneChunks }: JobState): number {
  return doneChunks === chunkCount(job) ? job.body.count : doneChunks * chunkSize(job.body);
}

/** The rows of evaluations that a job still needs. */
export function rowsLeft(state: JobState): number {
  if (isOver(state)) return 0;
  const chunks = chunkCount(state.job);
  return (state.job.rows * (chunks - state.doneChunks - state.failures.length)) / chunks;
}
