import { setTimeout as sleep } from 'node:timers/promises';

import type { FlowProducer, Job as Queued, Queue } from 'bullmq';
import { DpmError } from 'dpm-native';

import { unlimited, type Quota } from '../../base/client.js';
import { ServerError } from '../../base/problem.js';
import { allChunks, failuresOf, flowOf, isQueuedJob, queuedJob, roundId, type QueuedJob } from './bullmq-flow.js';
import { chunkCount, chunkKey, type Job } from '../job.js';
import { Cleaner } from './cleaner.js';
import { removeSamples } from './samples.js';
import { Removals } from '../outlived.js';
import { Ledger } from './ledger.js';
import { CANCELLED, connect, JOBS, loadBullmq, type Connection } from './redis.js';
import { Room, type RoomOptions } from './room.js';
import { openResults } from '../results/open-results.js';
import type { Results } from '../results/results.js';
import { isOver, newestFirst, type JobPhase, type JobState, type JobStore } from '../store.js';

/** The number of jobs that are listed, the newest. */
const MOST_LISTED = 1000;
/** The number of chunks whose samples are looked for at once. */
const LOOKS_AT_ONCE = 16;
/** Milliseconds between two looks at a job. */
const LOOK_EVERY = 500;

/** Milliseconds for which Redis remembers jobs longer than they are kept, so that their samples can be removed first. */
const REMEMBER = 604_800_000;

/** The options for opening a queue. */
export interface QueueOptions extends RoomOptions {
  /** A URL, `redis://…`. */
  queue: string;
  /** A URL, `file://…` or `s3://…`; absent where samples are not read. */
  results?: string | undefined;
  /** Milliseconds for which jobs are kept once they are over. */
  keep: number;
  /** Milliseconds until a failed chunk is tried again. */
  backoff?: number;
  /** True where it removes what is not kept any more. */
  cleans?: boolean;
  /** Listens to samples that cannot be removed. */
  onTrouble?: (error: unknown) => void;
  /** Listens to errors of the connection to Redis. */
  onError: (error: Error) => void;
}

/** Turns errors of Redis into errors for answers. */
async function reaching<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof ServerError || cause instanceof DpmError) throw cause;
    throw new ServerError('ERR_DPM_QUEUE', 'the queue cannot be reached', { headers: { 'retry-after': '5' }, cause });
  }
}

/** Jobs in Redis, which workers of several machines take chunks from. */
export class BullmqStore implements JobStore {
  readonly #connection: Connection;
  readonly #queue: Queue<QueuedJob>;
  readonly #flows: FlowProducer;
  readonly #results: Results | undefined;
  readonly #room: Room;
  readonly #removals: Removals;
  readonly #cleaner: Cleaner | undefined;
  readonly #options: QueueOptions;

  private constructor(
    connection: Connection,
    queue: Queue<QueuedJob>,
    flows: FlowProducer,
    results: Results | undefined,
    options: QueueOptions,
  ) {
    this.#connection = connection;
    this.#queue = queue;
    this.#flows = flows;
    this.#results = results;
    this.#options = options;
    const jobs = { get: (id: string) => this.get(id), remove: (id: string) => this.#evicted(id) };
    const ledger = new Ledger(connection.redis);
    this.#room = new Room(ledger, jobs, options);
    this.#removals = new Removals(options.onTrouble);
    if (options.cleans !== true) return;
    const cleaned = {
      list: () => this.#ended(),
      remove: (id: string, others: readonly Job[]) => this.#gone(id, others),
    };
    this.#cleaner = new Cleaner(ledger, cleaned, options);
    void this.clean();
  }

  /** @throws `DpmError` `ERR_DPM_CONFIG` where Redis or the place for samples is not as it has to be. */
  static async open(options: QueueOptions): Promise<BullmqStore> {
    const { FlowProducer: Flows, Queue: Jobs } = await loadBullmq();
    const results = options.results === undefined ? undefined : await openResults(options.results);
    const connection = await connect(options.queue, { isPatient: false, onError: options.onError }).catch(
      (error: unknown) => {
        results?.close();
        throw error;
      },
    );
    const queue = new Jobs<QueuedJob>(JOBS, { connection: connection.redis });
    const flows = new Flows({ connection: connection.redis });
    // The connection reports these errors itself.
    queue.on('error', () => undefined);
    flows.on('error', () => undefined);
    return new BullmqStore(connection, queue, flows, results, options);
  }

  add(job: Job, quota: Quota = unlimited): Promise<Job> {
    return reaching(async () => {
      const known = await this.#base(job.id);
      if (known !== undefined) return known.data.job;
      await this.#room.take(job, quota);
      await this.#flows.add(flowOf({ job, round: 0, before: 0, isCancelled: false }, allChunks(job), this.#remembered));
      // Another request may have added the job first.
      return (await this.#base(job.id))?.data.job ?? job;
    });
  }

  get(id: string): Promise<JobState | undefined> {
    return reaching(async () => {
      const base = await this.#base(id);
      return base === undefined ? undefined : (await this.#stateOf(base)).state;
    });
  }

  list(isWanted: (job: Job) => boolean = () => true): Promise<readonly JobState[]> {
    return reaching(async () => {
      const bases = (await this.#bases()).filter(({ data }) => isWanted(data.job));
      const states = await Promise.all(bases.slice(0, MOST_LISTED).map((base) => this.#stateOf(base)));
      return states.map(({ state }) => state);
    });
  }

  cancel(id: string): Promise<void> {
    return reaching(async () => {
      const base = await this.#base(id);
      if (base === undefined) return;
      const { state, current } = await this.#stateOf(base);
      if (isOver(state)) return;
      await base.updateData({ ...base.data, isCancelled: true });
      await current.removeUnprocessedChildren();
      await this.#connection.redis.publish(CANCELLED, id);
      await this.#room.settle({ ...state, state: 'cancelled' });
    });
  }

  retry(id: string, quota: Quota = unlimited): Promise<void> {
    return reaching(async () => {
      const base = await this.#base(id);
      if (base === undefined) return;
      const { state } = await this.#stateOf(base);
      if (state.state !== 'failed' && state.state !== 'done') return;
      const { job, round } = base.data;
      const again = await this.#undrawn(state);
      if (again.length === 0) return;
      const next = { job, round: round + 1, before: chunkCount(job) - again.length, isCancelled: false };
      await this.#room.take(job, quota);
      // If this process ends in between, the next retry finds the flow and goes on.
      await this.#flows.add(flowOf(next, again, this.#remembered));
      await base.updateData({ ...base.data, round: next.round });
      // The time for which the job is kept begins anew, as chunks of a forgotten job are not drawn.
      for (const set of ['failed', 'completed']) {
        await this.#connection.redis.zadd(this.#queue.toKey(set), 'XX', Date.now(), id);
      }
    });
  }

  /** The chunks of a job that is over which have failed, or whose samples somebody has removed, as rules of a bucket do. */
  async #undrawn({ job, failures }: JobState): Promise<number[]> {
    const results = this.#results;
    const again = new Set(failures.map(({ chunk }) => chunk));
    const drawn = [...allChunks(job)].filter((chunk) => results !== undefined && !again.has(chunk));
    while (drawn.length > 0) {
      const look = async (chunk: number): Promise<void> => {
        if ((await results?.has(chunkKey(job, chunk))) === false) again.add(chunk);
      };
      await Promise.all(drawn.splice(0, LOOKS_AT_ONCE).map(look));
    }
    return [...again].sort((a, b) => a - b);
  }

  purge(): Promise<number> {
    return reaching(async () => {
      let purged = 0;
      const bases = await this.#bases();
      const others = new Map(bases.map(({ data }) => [data.job.id, data.job]));
      for (const base of bases) {
        const { state, current } = await this.#stateOf(base);
        if (!isOver(state) || (await current.isActive())) continue;
        if (!(await this.#gone(base.data.job.id, [...others.values()]))) continue;
        others.delete(base.data.job.id);
        ++purged;
      }
      return purged;
    });
  }

  /** Removes a job that is over, for another one, and tells whether it is gone. */
  async #evicted(id: string): Promise<boolean> {
    return this.#gone(
      id,
      (await this.#bases()).map(({ data }) => data.job),
    );
  }

  /** Removes a job that is over, after the samples that no other job has, and tells whether it is gone. */
  async #gone(id: string, others: readonly Job[]): Promise<boolean> {
    const base = await this.#base(id);
    const results = this.#results;
    if (base === undefined) {
      await this.#room.forget(id);
      return true;
    }
    // A job whose samples remain stays, too, so that they are found again.
    const remove = (): Promise<void> =>
      results === undefined ? Promise.resolve() : removeSamples(base.data.job, others, results);
    return (await this.#removals.try(id, remove)) && (await this.#removed(base.data));
  }

  /** All jobs, and when those ended that are over. */
  async #ended(): Promise<{ state: JobState; endedAt: number }[]> {
    const found = (await this.#bases()).map(async (base) => {
      const { state, current } = await this.#stateOf(base);
      return { state, endedAt: current.finishedOn ?? Date.now() };
    });
    return Promise.all(found);
  }

  /** Removes what is not kept any more, where this store does so. */
  async clean(): Promise<void> {
    await this.#cleaner?.clean();
  }

  get #remembered(): QueueOptions {
    return { ...this.#options, keep: this.#options.keep + REMEMBER };
  }

  /** Removes a job, unless some of its chunks are being drawn, and tells whether it is gone. */
  async #removed({ job, round }: QueuedJob): Promise<boolean> {
    for (let each = round; each >= 0; --each) {
      const id = roundId(job.id, each);
      await this.#queue.remove(id, { removeChildren: true });
      if ((await this.#queue.getJob(id)) !== undefined) return false;
    }
    await this.#room.forget(job.id);
    return true;
  }

  async chunk(job: Job, chunk: number): Promise<Uint8Array | undefined> {
    return this.#results?.get(chunkKey(job, chunk));
  }

  async changed(_: string, signal: AbortSignal): Promise<void> {
    await sleep(LOOK_EVERY, undefined, { signal }).catch(() => undefined);
  }

  pause(): void {
    // Workers draw the chunks, so there is nothing to pause.
  }

  async close(): Promise<void> {
    await this.#cleaner?.close();
    await Promise.allSettled([this.#queue.close(), this.#flows.close()]);
    this.#connection.close();
    this.#results?.close();
  }

  #base(id: string): Promise<Queued<QueuedJob> | undefined> {
    return queuedJob(this.#queue, id);
  }

  /** Lists all jobs without their later rounds, the newest first. */
  async #bases(): Promise<Queued<QueuedJob>[]> {
    const all = await this.#queue.getJobs();
    const bases = all.filter(({ id, data }) => isQueuedJob(data) && id === data.job.id);
    return bases.sort((a, b) => newestFirst(a.data.job, b.data.job));
  }

  /** The state of a job, and its current round. */
  async #stateOf(base: Queued<QueuedJob>): Promise<{ state: JobState; current: Queued<QueuedJob> }> {
    const { job, round, isCancelled } = base.data;
    const current = round === 0 ? base : ((await this.#queue.getJob(roundId(job.id, round))) ?? base);
    const [where, counts, ignored] = await Promise.all([
      current.getState(),
      current.getDependenciesCount({ processed: true }),
      current.getIgnoredChildrenFailures(),
    ]);
    const failures = isCancelled ? [] : failuresOf(ignored);
    const doneChunks = current.data.before + (counts.processed ?? 0);
    const hasBegun = doneChunks + failures.length > 0 || current.progress !== 0;
    const state = isCancelled ? 'cancelled' : phaseOf(where, hasBegun);
    return { current, state: { job, state, doneChunks, failures } };
  }
}

/** The phase of a job, from its state in the queue. */
function phaseOf(where: string, hasBegun: boolean): JobPhase {
  if (where === 'completed') return 'done';
  if (where === 'failed') return 'failed';
  return hasBegun ? 'running' : 'queued';
}
