import { setTimeout as sleep } from 'node:timers/promises';

import { DpmError } from 'dpm-native';

import { unlimited, type Quota } from '../../base/client.js';
import { admitted, holdingOf, leastSeconds, MOST_JOBS, type Holding } from '../admission.js';
import { ATTEMPTS, BACKOFF, chunkFailure, isFinal, isUndone } from '../failure.js';
import { chunkSize, type Job } from '../job.js';
import { onceThereIsRoom } from '../files/full-disk.js';
import { makeFolder } from '../files/make-folder.js';
import { FairShares, order } from './fair-shares.js';
import { CLEAN_EVERY, outlived, Removals } from '../outlived.js';
import { orInsufficientStorage } from './insufficient-storage.js';
import { SpoolFiles } from './spool-files.js';
import { SpoolJob } from './spool-job.js';
import { SpoolLock } from './spool-lock.js';
import { pageOf, type Page, type PageRequest } from '../page.js';
import { Readers } from '../readers.js';
import {
  isOver,
  rowsLeft,
  type DrawChunk,
  type JobState,
  type JobStore,
  type RoomFor,
  type StoreFigures,
} from '../store.js';

/** The options for opening a spool. */
export interface SpoolOptions {
  /** Milliseconds for which jobs are kept after their last change. */
  keep: number;
  /** The most jobs, by default 10,000. */
  mostJobs?: number;
  /** The most bytes of samples, by default no limit. */
  keepBytes?: number;
  /** Tells how long a job still takes, where that is known. */
  secondsLeft?: (state: JobState) => number | undefined;
  /** Draws a chunk. Without it no chunk is drawn. */
  draw?: DrawChunk;
  roomFor?: RoomFor;
  /** Milliseconds until a failed chunk is tried again, by default {@link BACKOFF}. */
  backoff?: number;
  /** Listens to errors of chunks. */
  onFailure?: (job: string, chunk: number, error: unknown) => void;
  /** Listens to what keeps the spool from its work: a full disk, another server that has taken it. */
  onTrouble?: (error: unknown) => void;
}

/** What the spool holds for a new job, and for one that it has. A job of which a chunk is still being drawn cannot go. */
function newHolding(job: Job): Holding {
  return holdingOf({ job, state: 'queued', doneChunks: 0 }, Date.now());
}
function holdingIn({ state, changedAt, isBusy }: SpoolJob): Holding {
  return { ...holdingOf(state, changedAt), canGo: isOver(state) && !isBusy };
}

/** Jobs of one machine in a folder, whose files alone tell what remains to be done. */
export class SpoolStore implements JobStore {
  readonly #files: SpoolFiles;
  #lock: SpoolLock | undefined;
  readonly #jobs = new Map<string, SpoolJob>();
  /** Jobs that are being written, and that are being removed. */
  readonly #adding = new Map<string, { job: Job; added: Promise<Job> }>();
  readonly #removing = new Map<string, Promise<void>>();
  readonly #shares = new FairShares();
  readonly #options: SpoolOptions;
  readonly #removals: Removals;
  /** All operations that write files. */
  readonly #work = new Set<Promise<unknown>>();
  readonly #readers = new Readers();
  readonly #purging: NodeJS.Timeout;
  #keeping: Promise<void> = Promise.resolve();
  #isPaused = false;
  #isLost = false;
  #closed: Promise<void> | undefined;
  readonly #closing = new AbortController();

  private constructor(folder: string, options: SpoolOptions) {
    this.#files = new SpoolFiles(folder);
    this.#options = options;
    this.#removals = new Removals(options.onTrouble);
    this.#purging = setInterval(() => void this.clean(), CLEAN_EVERY);
    this.#purging.unref();
  }

  /**
   * Goes on with the jobs of a folder.
   *
   * @throws {@link DpmError} `ERR_DPM_CONFIG` naming the process that has the folder, or a file that is not what it should be;
   * `ERR_DPM_FILE` where it cannot be written.
   */
  static async open(folder: string, options: SpoolOptions): Promise<SpoolStore> {
    const store = new SpoolStore(folder, options);
    try {
      await makeFolder(folder, 0o700);
      await store.#begin(folder);
      return store;
    } catch (cause) {
      await store.close();
      if (cause instanceof DpmError) throw cause;
      throw new DpmError('ERR_DPM_FILE', `cannot use the spool ${folder}: ${(cause as Error).message}`, { cause });
    }
  }

  async #begin(folder: string): Promise<void> {
    this.#lock = await SpoolLock.take(folder, (cause) => {
      this.#lose(cause);
    });
    await this.#files.clean();
    for (const entry of (await this.#files.load()).toSorted(order)) this.#jobs.set(entry.job.id, entry);
    await this.clean();
    this.wake();
  }

  /** Leaves the folder to another server, which has taken it while this one showed no sign of life. */
  #lose(cause: Error): void {
    this.#isLost = true;
    this.pause();
    this.#stopDrawing();
    this.#options.onTrouble?.(cause);
  }

  #stopDrawing(): void {
    for (const { running } of this.#jobs.values()) for (const stop of running.values()) stop.abort();
  }

  /** Runs an operation that writes files. Closing the store waits for it. */
  async #writing<T>(write: () => Promise<T>): Promise<T> {
    if (this.#closed !== undefined) throw new DpmError('ERR_DPM_CLOSED', 'the server is about to end');
    if (this.#isLost) throw new DpmError('ERR_DPM_CLOSED', 'another server has taken the spool');
    const work = orInsufficientStorage(write());
    const ended = work.catch(() => undefined);
    this.#work.add(ended);
    try {
      return await work;
    } finally {
      this.#work.delete(ended);
    }
  }

  add(job: Job, quota: Quota = unlimited): Promise<Job> {
    return this.#writing(() => this.#add(job, quota));
  }

  async #add(job: Job, quota: Quota): Promise<Job> {
    await this.#removing.get(job.id)?.catch(() => undefined);
    const known = this.#jobs.get(job.id)?.job ?? this.#adding.get(job.id)?.added;
    if (known !== undefined) return known;
    const gone = this.#inTheWayOf(job, quota);
    const added = this.#evict(gone).then(async () => {
      await this.#files.add(job);
      this.#jobs.set(job.id, new SpoolJob(job, Date.now()));
      return job;
    });
    this.#adding.set(job.id, { job, added });
    try {
      return await added;
    } finally {
      this.#adding.delete(job.id);
      this.wake();
    }
  }

  /** The jobs that have to go for a new one. They go before anything is awaited, so that no two jobs get the same room. */
  #inTheWayOf(job: Job, quota: Quota): SpoolJob[] {
    const { mostJobs = MOST_JOBS, keepBytes = Infinity, secondsLeft } = this.#options;
    const entries = [...this.#jobs.values()].filter((entry) => entry.job.id !== job.id);
    const own = entries.filter((entry) => entry.job.tenant === job.tenant && !entry.isOver);
    const gone = admitted({
      newcomer: newHolding(job),
      held: [...entries.map(holdingIn), ...[...this.#adding.values()].map((adding) => newHolding(adding.job))],
      quota,
      capacity: { jobs: mostJobs, bytes: keepBytes },
      secondsLeft: () =>
        leastSeconds(
          own.map(({ state }) => state),
          secondsLeft,
        ),
    });
    const ids = new Set(gone.map(({ id }) => id));
    return entries.filter((entry) => ids.has(entry.job.id));
  }

  async #evict(entries: readonly SpoolJob[]): Promise<void> {
    await Promise.all(entries.map((entry) => this.#removeOne(entry)));
  }

  get(id: string): Promise<JobState | undefined> {
    return Promise.resolve(this.#jobs.get(id)?.state);
  }

  list(request: PageRequest): Promise<Page<JobState>> {
    return Promise.resolve().then(() => {
      const { data, next } = pageOf([...this.#jobs.values()], request);
      return { data: data.map(({ state }) => state), next };
    });
  }

  figures(): Promise<StoreFigures> {
    const jobs = new Map<string, number>();
    const rows = new Map<string, number>();
    for (const { state, queue } of this.#jobs.values()) {
      jobs.set(state.state, (jobs.get(state.state) ?? 0) + 1);
      rows.set(queue, (rows.get(queue) ?? 0) + rowsLeft(state));
    }
    return Promise.resolve({ jobs, rowsLeft: rows });
  }

  cancel(id: string): Promise<void> {
    return this.#writing(() => this.#cancel(id));
  }

  async #cancel(id: string): Promise<void> {
    const entry = this.#jobs.get(id);
    if (entry === undefined || entry.isOver) return;
    // The marks are set first, so that no chunk begins or ends meanwhile.
    entry.isCancelled = true;
    entry.isEnding = true;
    try {
      await this.#files.cancel(entry);
    } catch (error) {
      entry.isCancelled = false;
      this.wake();
      throw error;
    } finally {
      entry.isEnding = false;
    }
    for (const running of entry.running.values()) running.abort();
    this.#tell(entry);
  }

  retry(id: string, quota: Quota = unlimited): Promise<void> {
    return this.#writing(() => this.#retry(id, quota));
  }

  async #retry(id: string, quota: Quota): Promise<void> {
    const entry = this.#jobs.get(id);
    if (entry === undefined || entry.isCancelled || entry.failures.size === 0) return;
    const gone = this.#inTheWayOf(entry.job, quota);
    entry.failures.clear();
    entry.attempts.clear();
    await this.#evict(gone);
    await this.#keepFailures(entry);
    this.#tell(entry);
    this.wake();
  }

  purge(): Promise<number> {
    return this.#writing(() => this.#remove(({ isOver }) => isOver));
  }

  async chunk({ id }: Job, chunk: number): Promise<Uint8Array | undefined> {
    const entry = this.#jobs.get(id);
    const sum = entry?.done.get(chunk);
    if (entry === undefined || sum === undefined) return undefined;
    const bytes = await this.#files.chunk(entry, chunk, sum);
    if (bytes === undefined) this.#drawAgain(entry, chunk);
    return bytes;
  }

  /** Draws a chunk whose file has gone or was changed. */
  #drawAgain(entry: SpoolJob, chunk: number): void {
    entry.done.delete(chunk);
    this.#tell(entry);
    this.wake();
  }

  changed(id: string, signal: AbortSignal): Promise<boolean> {
    return this.#closed === undefined ? this.#readers.wait(id, signal) : Promise.resolve(true);
  }

  /** Takes no more chunks; those that are being drawn go on. */
  pause(): void {
    this.#isPaused = true;
    this.#readers.tellAll();
  }

  /** Draws as many chunks as there is room for, also after a model has been loaded. */
  wake(): void {
    const { draw, roomFor } = this.#options;
    if (draw === undefined || roomFor === undefined || this.#isPaused) return;
    const running = this.#runningByQueue();
    const rooms = new Map<string, number>();
    // The room is asked for once for all equal jobs, as thousands may wait.
    const roomOf = ({ job, queue }: SpoolJob): number => {
      const kind = `${chunkSize(job.body)} ${queue}`;
      const room = rooms.get(kind) ?? roomFor(job);
      rooms.set(kind, room);
      return room - (running.get(queue) ?? 0);
    };
    const waiting = [...this.#jobs.values()].filter((entry) => !entry.isOver && roomOf(entry) > 0);
    const canTake = (entry: SpoolJob): boolean => roomOf(entry) > 0 && entry.next !== undefined;
    this.#shares.takeAll(waiting, canTake, (entry) => {
      const chunk = entry.next;
      if (chunk === undefined) return;
      running.set(entry.queue, (running.get(entry.queue) ?? 0) + 1);
      void this.#writing(() => this.#draw(entry, chunk, draw));
    });
  }

  #runningByQueue(): Map<string, number> {
    const sums = new Map<string, number>();
    for (const { queue, running } of this.#jobs.values()) {
      if (running.size > 0) sums.set(queue, (sums.get(queue) ?? 0) + running.size);
    }
    return sums;
  }

  async #draw(entry: SpoolJob, chunk: number, draw: DrawChunk): Promise<void> {
    const stop = new AbortController();
    entry.running.set(chunk, stop);
    this.#tell(entry);
    try {
      const bytes = await draw(entry.job, chunk, stop.signal);
      entry.done.set(chunk, await this.#kept(entry, chunk, bytes, stop.signal));
    } catch (error) {
      if (!stop.signal.aborted) await this.#failed(entry, chunk, error);
    } finally {
      entry.running.delete(chunk);
      this.#tell(entry);
      this.wake();
    }
  }

  /** Keeps the samples of a chunk, and returns their digest. No other chunk takes its place while the disk is full. */
  #kept(entry: SpoolJob, chunk: number, bytes: Uint8Array, signal: AbortSignal): Promise<string> {
    return onceThereIsRoom(() => this.#files.addChunk(entry, chunk, bytes), {
      signal,
      pause: this.#options.backoff ?? BACKOFF,
      onFull: (error) => this.#options.onTrouble?.(error),
    });
  }

  async #failed(entry: SpoolJob, chunk: number, error: unknown): Promise<void> {
    if (isUndone(error)) {
      // The model is going, but another with the same files may come.
      this.#delay(entry, chunk, 0);
      return;
    }
    this.#options.onFailure?.(entry.job.id, chunk, error);
    const attempts = (entry.attempts.get(chunk) ?? 0) + 1;
    entry.attempts.set(chunk, attempts);
    if (!isFinal(error) && attempts < ATTEMPTS) {
      this.#delay(entry, chunk, attempts - 1);
      return;
    }
    entry.failures.set(chunk, chunkFailure(chunk, error));
    await this.#keepFailures(entry);
  }

  /** Writes failures one after the other, so that the last write holds. If a write fails, a restart finds the failures again. */
  #keepFailures(entry: SpoolJob): Promise<void> {
    this.#keeping = this.#keeping.then(() => this.#files.keepFailures(entry)).catch(() => undefined);
    return this.#keeping;
  }

  /** Tries a chunk again after a time that doubles with each attempt. */
  #delay(entry: SpoolJob, chunk: number, before: number): void {
    const milliseconds = (this.#options.backoff ?? BACKOFF) * 2 ** before;
    entry.delayed.add(chunk);
    void sleep(milliseconds, undefined, { signal: this.#closing.signal, ref: false })
      .catch(() => undefined)
      .then(() => {
        entry.delayed.delete(chunk);
        this.wake();
      });
  }

  #tell(entry: SpoolJob): void {
    entry.changedAt = Date.now();
    this.#readers.tell(entry.job.id);
  }

  /** Removes jobs that are not kept any more, and what remains of removed ones. */
  async clean(): Promise<void> {
    await this.#writing(() => this.#clean()).catch(() => undefined);
  }

  async #clean(): Promise<void> {
    const held = [...this.#jobs.values()].map(holdingIn);
    for (const { id } of outlived(held, this.#options, Date.now())) {
      const entry = this.#jobs.get(id);
      // The job may have changed while an earlier one was removed.
      if (entry?.isOver === true && !entry.isBusy) await this.#removals.try(id, () => this.#removeOne(entry));
    }
    await this.#removals.try('rest', () => this.#files.removeRest());
  }

  async #remove(goes: (entry: SpoolJob) => boolean): Promise<number> {
    let removed = 0;
    for (const entry of [...this.#jobs.values()]) {
      // The job may have changed while an earlier one was removed.
      const { id } = entry.job;
      if (this.#jobs.get(id) !== entry || !goes(entry) || entry.isBusy) continue;
      await this.#removeOne(entry);
      ++removed;
    }
    return removed;
  }

  async #removeOne(entry: SpoolJob): Promise<void> {
    const { id } = entry.job;
    this.#jobs.delete(id);
    const removing = this.#files.remove(entry);
    this.#removing.set(id, removing);
    try {
      await removing;
    } catch (error) {
      this.#jobs.set(id, entry);
      throw error;
    } finally {
      this.#removing.delete(id);
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.pause();
    clearInterval(this.#purging);
    this.#stopDrawing();
    this.#closing.abort();
    await Promise.all(this.#work);
    await this.#lock?.release();
  }
}
