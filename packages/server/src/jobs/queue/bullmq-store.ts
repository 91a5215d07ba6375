import type { FlowProducer, Queue } from 'bullmq';
import { DpmError } from 'dpm-native';

import { unlimited, type Quota } from '../../base/client.js';
import { ServerError } from '../../base/problem.js';
import { allChunks, flowOf, roundId, type QueuedJob } from './bullmq-flow.js';
import { chunkCount, chunkKey, type Job } from '../job.js';
import { Cleaner } from './cleaner.js';
import { Holdings } from './holdings.js';
import { Ledger } from './ledger.js';
import { Marks } from './marks.js';
import { QueuedJobs } from './queued-jobs.js';
import { CANCELLED, connect, JOBS, loadBullmq, shown, type Connection } from './redis.js';
import { Removing } from './removing.js';
import { Room, type RoomOptions } from './room.js';
import { Watcher } from './watcher.js';
import { openResults } from '../results/open-results.js';
import type { Page, PageRequest } from '../page.js';
import type { Results } from '../results/results.js';
import { isOver, type JobState, type JobStore, type StoreFigures } from '../store.js';

/** The number of chunks whose samples are looked for at once. */
const LOOKS_AT_ONCE = 16;
/** Milliseconds between two looks for jobs whose worker died before it noted their end. */
const CATCH_UP = 30_000;

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
  /** Milliseconds between two looks for jobs whose worker died before it noted their end. */
  catchUp?: number;
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
  readonly #options: QueueOptions;
  readonly #jobs: QueuedJobs;
  readonly #marks: Marks;
  readonly #ledger: Ledger;
  readonly #room: Room;
  readonly #removing: Removing;
  readonly #cleaner: Cleaner | undefined;
  readonly #watcher: Watcher;
  readonly #catchingUp: NodeJS.Timeout;

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
    this.#jobs = new QueuedJobs(queue);
    this.#marks = new Marks(connection.redis);
    this.#ledger = new Ledger(connection.redis, queue);
    const holdings = new Holdings(connection.redis);
    const parts = { queue, jobs: this.#jobs, ledger: this.#ledger, holdings, results };
    this.#removing = new Removing(parts, options.onTrouble);
    this.#room = new Room(holdings, { get: (id) => this.get(id), evict: (ids) => this.#removing.evict(ids) }, options);
    if (options.cleans === true) this.#cleaner = new Cleaner(holdings, this.#removing, options);
    this.#watcher = new Watcher(connection.redis);
    this.#catchingUp = setInterval(() => {
      // What fails now is made up for the next time.
      this.#ledger.catchUp().catch(() => undefined);
    }, options.catchUp ?? CATCH_UP);
    this.#catchingUp.unref();
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
    const store = new BullmqStore(connection, queue, flows, results, options);
    try {
      await store.#ledger.begin(async () => (await store.#jobs.bases()).map(({ data }) => data.job.id));
    } catch (cause) {
      await store.close();
      const message = `queue ${shown(options.queue)} cannot be used: ${(cause as Error).message}`;
      throw new DpmError('ERR_DPM_CONFIG', message, { cause });
    }
    void store.clean();
    return store;
  }

  add(job: Job, quota: Quota = unlimited): Promise<Job> {
    return reaching(async () => {
      const known = await this.#jobs.get(job.id);
      if (known !== undefined) return known.state.job;
      await this.#room.take(job, quota);
      await this.#flows.add(flowOf({ job, round: 0, before: 0, isCancelled: false }, allChunks(job), this.#remembered));
      // Another request may have added the job first.
      const taken = (await this.#jobs.get(job.id))?.state.job ?? job;
      await this.#ledger.note(job.id, taken);
      return taken;
    });
  }

  get(id: string): Promise<JobState | undefined> {
    return reaching(async () => (await this.#jobs.get(id))?.state);
  }

  list(request: PageRequest): Promise<Page<JobState>> {
    return reaching(async () => {
      const { ids, next } = await this.#ledger.page(request);
      const found = await Promise.all(ids.map((id) => this.#listed(id)));
      return { data: found.filter((state) => state !== undefined), next };
    });
  }

  async #listed(id: string): Promise<JobState | undefined> {
    const found = await this.#jobs.get(id);
    if (found !== undefined) return found.state;
    // BullMQ has removed it since it was noted.
    await this.#ledger.note(id);
    return undefined;
  }

  figures(): Promise<StoreFigures> {
    return reaching(() => this.#ledger.figures());
  }

  cancel(id: string): Promise<void> {
    return reaching(async () => {
      while (!(await this.#cancelled(id)));
      await this.#ledger.note(id);
    });
  }

  /** Ends a job that is not over; false where it was changed meanwhile. */
  async #cancelled(id: string): Promise<boolean> {
    const found = await this.#jobs.get(id);
    if (found === undefined) return true;
    const { state, base, current } = found;
    if (isOver(state)) return true;
    const { data: before } = base;
    const swap = { before, after: { ...before, isCancelled: true }, current: current.id ?? id, phase: 'open' } as const;
    if (!(await this.#marks.swap(swap))) return false;
    await current.removeUnprocessedChildren();
    await this.#connection.redis.publish(CANCELLED, id);
    await this.#room.settle({ ...state, state: 'cancelled' });
    return true;
  }

  retry(id: string, quota: Quota = unlimited): Promise<void> {
    return reaching(async () => {
      while (!(await this.#retried(id, quota)));
      await this.#ledger.note(id);
    });
  }

  /** Draws again what a job lacks; false where it was changed meanwhile. */
  async #retried(id: string, quota: Quota): Promise<boolean> {
    const found = await this.#jobs.get(id);
    if (found === undefined) return true;
    const { state, base, current } = found;
    if (state.state !== 'failed' && state.state !== 'done') return true;
    const { data: before } = base;
    const { job, round } = before;
    const again = await this.#undrawn(state);
    if (again.length === 0) return true;
    const next = { job, round: round + 1, before: chunkCount(job) - again.length, isCancelled: false };
    await this.#room.take(job, quota);
    // If this process ends in between, the next retry finds the flow and goes on.
    await this.#flows.add(flowOf(next, again, this.#remembered));
    const after = { ...before, round: next.round };
    if (!(await this.#marks.swap({ before, after, current: current.id ?? id, phase: 'over' }))) {
      await this.#withdraw(id, next.round);
      return false;
    }
    // The time for which the job is kept begins anew, as chunks of a forgotten job are not drawn.
    for (const set of ['failed', 'completed']) {
      await this.#connection.redis.zadd(this.#queue.toKey(set), 'XX', Date.now(), id);
    }
    return true;
  }

  /** Takes back the chunks of a round of a job that was cancelled while they were sent. */
  async #withdraw(id: string, round: number): Promise<void> {
    const { state } = (await this.#jobs.get(id)) ?? {};
    if (state?.state !== 'cancelled') return;
    await this.#room.settle(state);
    await (await this.#queue.getJob(roundId(id, round)))?.removeUnprocessedChildren();
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
    return reaching(() => this.#removing.purge());
  }

  /** Removes what is not kept any more, where this store does so. */
  async clean(): Promise<void> {
    await this.#cleaner?.clean();
  }

  get #remembered(): QueueOptions {
    return { ...this.#options, keep: this.#options.keep + REMEMBER };
  }

  async chunk(job: Job, chunk: number): Promise<Uint8Array | undefined> {
    return this.#results?.get(chunkKey(job, chunk));
  }

  changed(id: string, signal: AbortSignal): Promise<boolean> {
    return this.#watcher.wait(id, signal);
  }

  pause(): void {
    // Workers draw the chunks; only the waits end here.
    this.#watcher.wakeAll();
  }

  async close(): Promise<void> {
    clearInterval(this.#catchingUp);
    this.#watcher.close();
    await this.#cleaner?.close();
    await Promise.allSettled([this.#queue.close(), this.#flows.close()]);
    this.#connection.close();
    this.#results?.close();
  }
}
