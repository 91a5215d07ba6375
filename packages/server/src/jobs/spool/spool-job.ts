import { chunkCount, chunkFormat, queueOf, type Job } from '../job.js';
import { isOver, type ChunkFailure, type JobPhase, type JobState } from '../store.js';

/** A job of a spool, with the state of its chunks. */
export class SpoolJob {
  readonly job: Job;
  readonly chunks: number;
  /** See {@link queueOf}. */
  readonly queue: string;
  /** The chunks whose samples are there, with SHA-256 of their files. */
  readonly done = new Map<number, string>();
  readonly failures = new Map<number, ChunkFailure>();
  /** The chunks that are being drawn. */
  readonly running = new Map<number, AbortController>();
  /** The number of failed attempts for each chunk. */
  readonly attempts = new Map<number, number>();
  /** The chunks that wait until they are tried again. */
  readonly delayed = new Set<number>();
  isCancelled = false;
  /** True while the cancellation is being written. */
  isEnding = false;
  /** The time of its last change, in milliseconds since the epoch. */
  changedAt: number;

  constructor(job: Job, changedAt: number) {
    this.job = job;
    this.chunks = chunkCount(job);
    this.queue = queueOf(job);
    this.changedAt = changedAt;
  }

  get phase(): JobPhase {
    if (this.isCancelled) return 'cancelled';
    if (this.done.size + this.failures.size === this.chunks) return this.failures.size > 0 ? 'failed' : 'done';
    return this.done.size + this.failures.size + this.running.size > 0 ? 'running' : 'queued';
  }

  get isOver(): boolean {
    return isOver({ state: this.phase });
  }

  /** True while a chunk is being drawn or its end is being written, in which it cannot be removed. */
  get isBusy(): boolean {
    return this.running.size > 0 || this.isEnding;
  }

  get state(): JobState {
    return { job: this.job, state: this.phase, doneChunks: this.done.size, failures: [...this.failures.values()] };
  }

  /** The chunk to be drawn next; undefined where there is none. */
  get next(): number | undefined {
    if (this.isOver) return undefined;
    for (let chunk = 0; chunk < this.chunks; ++chunk) {
      const isTaken = this.done.has(chunk) || this.failures.has(chunk) || this.running.has(chunk);
      if (!isTaken && !this.delayed.has(chunk)) return chunk;
    }
    return undefined;
  }

  /** The file of a chunk, in the job's folder. */
  fileOf(chunk: number): string {
    return `${chunk}.${chunkFormat(this.job)}`;
  }

  /** The chunk that a file belongs to; undefined for other files. */
  chunkOf(file: string): number | undefined {
    const chunk = Number.parseInt(file, 10);
    return chunk >= 0 && chunk < this.chunks && this.fileOf(chunk) === file ? chunk : undefined;
  }
}
