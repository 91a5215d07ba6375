import { setTimeout as sleep } from 'node:timers/promises';

import type { Job as Queued, Queue, Worker, WorkerOptions as BullmqOptions } from 'bullmq';
import { DpmError } from 'dpm-native';
import type { Redis } from 'ioredis';

import { checked } from '../../base/schema.js';
import { queuedChunkSchema, queuedJob, reasonOf, type QueuedChunk, type QueuedJob } from './bullmq-flow.js';
import { holdingOf } from '../admission.js';
import { BACKOFF, chunkFailure, isFinal, isUndone } from '../failure.js';
import { onceThereIsRoom } from '../files/full-disk.js';
import { chunkCount, chunkKey, type Job } from '../job.js';
import { Holdings } from './holdings.js';
import { Ledger } from './ledger.js';
import { answers, CANCELLED, connect, JOBS, loadBullmq, shown, type Bullmq, type Connection } from './redis.js';
import { openResults } from '../results/open-results.js';
import type { Results } from '../results/results.js';
import type { DrawChunk } from '../store.js';
import { Takers, type Workplace } from './takers.js';

/** Milliseconds for which a silent worker keeps a chunk, and between two looks for such workers. */
const LOCK = 10_000;
const LOOK_FOR_STALLED = 5000;
/** The number of workers that may die with a chunk before it fails. */
const MOST_STALLED = 3;

/** The options for opening a worker. */
export interface WorkerOptions {
  /** A URL, `redis://…`. */
  queue: string;
  /** A URL, `file://…` or `s3://…`. */
  results: string;
  places: readonly Workplace[];
  draw: DrawChunk;
  /** Milliseconds for which a silent worker keeps a chunk. */
  lock?: number;
  /** Listens to errors of the connection to Redis. */
  onError: (error: Error) => void;
  /** Listens to errors of chunks. */
  onFailure: (job: string, chunk: number, error: unknown) => void;
  /** Listens to results that cannot be used, as their disk is full or their bucket away. */
  onTrouble: (error: unknown) => void;
}

/** Takes chunks from queues and draws them. If a worker dies, its chunks go to another one. */
export class JobWorker {
  readonly #bullmq: Bullmq;
  readonly #options: WorkerOptions;
  readonly #results: Results;
  readonly #connection: Connection;
  /** A connection that listens for cancelled jobs. */
  readonly #listener: Redis;
  readonly #jobs: Queue<QueuedJob>;
  readonly #ledger: Ledger;
  readonly #holdings: Holdings;
  readonly #noting = new Set<Promise<void>>();
  /** The chunks that are being drawn here, by job. */
  readonly #running = new Map<string, Set<AbortController>>();
  /** The chunks that are in a batch. */
  readonly #drawing = new Set<Promise<Uint8Array>>();
  readonly #takers: Takers;
  #finisher: Worker | undefined;
  #isClosing = false;
  #closed: Promise<void> | undefined;

  private constructor(bullmq: Bullmq, options: WorkerOptions, results: Results, connection: Connection) {
    this.#bullmq = bullmq;
    this.#options = options;
    this.#results = results;
    this.#connection = connection;
    this.#listener = connection.redis.duplicate();
    this.#listener.on('error', () => undefined);
    this.#jobs = new bullmq.Queue<QueuedJob>(JOBS, { connection: connection.redis });
    this.#jobs.on('error', () => undefined);
    this.#ledger = new Ledger(connection.redis, this.#jobs);
    this.#holdings = new Holdings(connection.redis);
    this.#takers = new Takers((place) => this.#takerOf(place), options.onError);
  }

  /** @throws `DpmError` as `BullmqStore.open` does. */
  static async open(options: WorkerOptions): Promise<JobWorker> {
    const bullmq = await loadBullmq();
    const results = await openResults(options.results);
    const connection = await connect(options.queue, { isPatient: true, onError: options.onError }).catch(
      (error: unknown) => {
        results.close();
        throw error;
      },
    );
    const worker = new JobWorker(bullmq, options, results, connection);
    try {
      await worker.#listen();
      await worker.#begin();
    } catch (cause) {
      await worker.close();
      const { message } = cause as Error;
      throw new DpmError('ERR_DPM_CONFIG', `queue ${shown(options.queue)} cannot be used: ${message}`, {
        cause,
      });
    }
    return worker;
  }

  async #listen(): Promise<void> {
    await this.#listener.subscribe(CANCELLED);
    this.#listener.on('message', (_, id: string) => {
      for (const running of this.#running.get(id) ?? []) running.abort();
    });
  }

  async #begin(): Promise<void> {
    const { Worker: Taker } = this.#bullmq;
    const finish = (queued: Queued<QueuedJob>): Promise<void> => this.#finish(queued);
    const finisher = new Taker<QueuedJob>(JOBS, finish, { ...this.#common, concurrency: 8 });
    this.#finisher = finisher;
    const over = (queued?: Queued<QueuedJob>): void => {
      this.#note(queued?.data.job.id);
    };
    finisher.on('completed', over).on('failed', over).on('error', this.#options.onError);
    // Closing a worker that has no connection yet would never end.
    const ready = [this.#jobs, finisher].map((each) => each.waitUntilReady());
    await Promise.all([...ready, this.place(this.#options.places)]);
  }

  get #common(): BullmqOptions {
    const { lock = LOCK } = this.#options;
    return {
      connection: this.#connection.redis,
      lockDuration: lock,
      stalledInterval: Math.min(lock, LOOK_FOR_STALLED),
      maxStalledCount: MOST_STALLED,
    };
  }

  #takerOf({ queue, concurrency }: Workplace): Worker {
    const take = (queued: Queued<QueuedChunk>, token?: string): Promise<object> => this.#chunk(queued, token);
    const taker = new this.#bullmq.Worker<QueuedChunk>(queue, take, { ...this.#common, concurrency });
    const ended = (queued?: Queued<QueuedChunk>): void => {
      this.#note(queued?.data.id);
    };
    return taker.on('completed', ended).on('failed', ended);
  }

  /** Takes chunks of these queues alone from now on. Chunks of others that are being drawn are drawn to their end. */
  place(places: readonly Workplace[]): Promise<void> {
    return this.#takers.place(places);
  }

  /** Notes that a job has changed. Servers make up for what fails. */
  #note(id: string | undefined): void {
    if (id === undefined) return;
    const noting = this.#ledger.note(id).catch(() => undefined);
    this.#noting.add(noting);
    void noting.finally(() => this.#noting.delete(noting));
  }

  /** Ends a job once all of its chunks have ended. */
  async #finish(queued: Queued<QueuedJob>): Promise<void> {
    const failures = Object.keys(await queued.getIgnoredChildrenFailures()).length;
    const { job, isCancelled } = queued.data;
    const ended = { job, state: failures > 0 ? 'failed' : 'done', doneChunks: chunkCount(job) - failures } as const;
    if (!isCancelled) await this.#holdings.update(holdingOf(ended, Date.now()));
    if (failures > 0) throw new this.#bullmq.UnrecoverableError(`${failures} chunks failed`);
  }

  /**
   * Finds the job of a chunk.
   *
   * @throws `UnrecoverableError` where the job was cancelled or forgotten.
   */
  async #wanted(id: string): Promise<Queued<QueuedJob>> {
    const base = await queuedJob(this.#jobs, id);
    if (base === undefined || base.data.isCancelled) throw new this.#bullmq.UnrecoverableError('cancelled');
    return base;
  }

  async #chunk(queued: Queued<QueuedChunk>, token: string | undefined): Promise<object> {
    const { id, chunk } = checked(queuedChunkSchema, queued.data, `chunk ${queued.id ?? ''} of the queue`);
    const stop = new AbortController();
    const running = this.#running.get(id) ?? new Set();
    this.#running.set(id, running.add(stop));
    try {
      const base = await this.#wanted(id);
      const { job } = base.data;
      await this.#tellBegun(queued, base);
      const began = performance.now();
      const key = chunkKey(job, chunk);
      const { signal } = stop;
      if ((await this.#patiently(() => this.#results.get(key), signal)) === undefined) {
        const bytes = await this.#drawn(job, chunk, signal);
        await this.#patiently(() => this.#results.put(key, bytes), signal);
      }
      return { key, ms: Math.round(performance.now() - began) };
    } catch (error) {
      if (error instanceof this.#bullmq.UnrecoverableError) throw error;
      return await this.#failed(queued, token, error, stop.signal);
    } finally {
      running.delete(stop);
      if (running.size === 0) this.#running.delete(id);
    }
  }

  #drawn(job: Job, chunk: number, signal: AbortSignal): Promise<Uint8Array> {
    const drawing = this.#options.draw(job, chunk, signal);
    this.#drawing.add(drawing);
    return drawing.finally(() => this.#drawing.delete(drawing));
  }

  /** Uses the results as soon as they can be used: a bucket that is away for a while fails no chunk. */
  #patiently<T>(use: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return onceThereIsRoom(use, { signal, pause: BACKOFF, onFull: this.#options.onTrouble });
  }

  /** Notes in the queue that a job has begun, once for all of its chunks. */
  async #tellBegun({ parent }: Queued, base: Queued<QueuedJob>): Promise<void> {
    if (parent?.id === undefined) return;
    const above = parent.id === base.id ? base : await this.#jobs.getJob(parent.id);
    if (above?.progress !== 0) return;
    await above.updateProgress(1);
    this.#note(base.id);
  }

  async #failed(
    queued: Queued<QueuedChunk>,
    token: string | undefined,
    error: unknown,
    { aborted }: AbortSignal,
  ): Promise<never> {
    const { UnrecoverableError, WaitingError } = this.#bullmq;
    const { id, chunk } = queued.data;
    if (aborted && !this.#isClosing) throw new UnrecoverableError('cancelled');
    if (this.#isClosing || isUndone(error)) {
      // Another worker takes the chunk. This one takes no more of them, as its card has failed or its model is gone.
      if (!this.#isClosing) this.#takers.stop(queued.queueName);
      await queued.moveToWait(token);
      throw new WaitingError();
    }
    this.#options.onFailure(id, chunk, error);
    const reason = reasonOf(chunkFailure(chunk, error));
    throw isFinal(error) ? new UnrecoverableError(reason) : new Error(reason, { cause: error });
  }

  /** Why the queue cannot be used now, in a few words; undefined where it can. */
  trouble(): Promise<string | undefined> {
    return this.#connection.trouble();
  }

  /** Takes no more chunks, and waits for the running ones. */
  async drain(): Promise<void> {
    this.#takers.pause();
    void this.#finisher?.pause(true).catch(this.#options.onError);
    while (this.#running.size > 0 && !this.#isClosing) await sleep(20);
  }

  /** Gives back the chunks that are being drawn. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#isClosing = true;
    for (const running of this.#running.values()) for (const stop of running) stop.abort();
    await Promise.allSettled(this.#drawing);
    // Without Redis no chunk can be given back, and waiting would never end. Their locks then run out.
    const isForced = !(await answers(this.#connection.redis));
    await Promise.allSettled([this.#takers.close(isForced), this.#finisher?.close(isForced)]);
    if (!isForced) await Promise.all(this.#noting);
    await this.#jobs.close().catch(() => undefined);
    this.#listener.disconnect();
    this.#connection.close();
    this.#results.close();
  }
}
