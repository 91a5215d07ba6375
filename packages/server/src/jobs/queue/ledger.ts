import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';

import { chunkCount, isJobId, queueOf, type Job } from '../job.js';
import { nextOf, placeOfCursor, placeOfJob, type PageRequest } from '../page.js';
import type { StoreFigures } from '../store.js';
import { queuedJob, type QueuedJob } from './bullmq-flow.js';
import { keys, noteScript } from './ledger-script.js';
import { scriptOf, type Script } from './scripts.js';

/** The events of the queue that are looked through at once. */
const EVENTS_AT_ONCE = 1000;
/** The jobs that are noted at once. */
const NOTES_AT_ONCE = 32;

/** The facts of a job that its entry has. They never change. */
function factsOf(job: Job): string {
  return JSON.stringify({
    queue: queueOf(job),
    // Rows are counted in whole thousandths, so that sums are exact.
    rows: Math.round(1000 * job.rows),
    chunks: chunkCount(job),
    tenant: job.tenant,
    place: placeOfJob(job),
  });
}

/** The ids of jobs on a page. */
export interface IdPage {
  readonly ids: readonly string[];
  readonly next: string | null;
}

/**
 * Figures of all jobs and their order, kept in Redis beside BullMQ's queue, so that reading them takes the same few commands whatever
 * there is. An entry is not counted up and down: noting a job reads how it is now and replaces what it added to the figures before, in one
 * step. A note that comes twice changes nothing, and one that never came is made up for by the next.
 */
export class Ledger {
  readonly #redis: Redis;
  readonly #queue: Queue<QueuedJob>;
  readonly #note: Script;

  constructor(redis: Redis, queue: Queue<QueuedJob>) {
    this.#redis = redis;
    this.#queue = queue;
    this.#note = scriptOf(redis, 'dpmNote', noteScript);
  }

  /** Notes how a job is now. */
  async note(id: string, job?: Job): Promise<void> {
    if (!isJobId(id)) return;
    if ((await this.#note(id, job === undefined ? '' : factsOf(job))) === 1 || job !== undefined) return;
    // Only a job that passes the checks of foreign data gets an entry.
    const base = await queuedJob(this.#queue, id);
    if (base !== undefined) await this.#note(id, factsOf(base.data.job));
  }

  async noteAll(ids: Iterable<string>): Promise<void> {
    const left = [...new Set(ids)];
    while (left.length > 0) await Promise.all(left.splice(0, NOTES_AT_ONCE).map((id) => this.note(id)));
  }

  /** Notes the jobs of a Redis that a version without figures has used. */
  async begin(idsOfAll: () => Promise<readonly string[]>): Promise<void> {
    if ((await this.#redis.exists(keys.ready)) === 1) {
      await this.catchUp();
      return;
    }
    const [last] = await this.#redis.xrevrange(this.#queue.toKey('events'), '+', '-', 'COUNT', 1);
    await this.noteAll(await idsOfAll());
    await this.#redis.mset(keys.ready, '1', keys.seen, last?.[0] ?? '0-0');
  }

  /** Notes the jobs of events that came since the last look: their process may have died, or be of a version that notes nothing. */
  async catchUp(): Promise<void> {
    const seen = (await this.#redis.get(keys.seen)) ?? '0-0';
    const events = await this.#redis.xrange(this.#queue.toKey('events'), `(${seen}`, '+', 'COUNT', EVENTS_AT_ONCE);
    const last = events.at(-1)?.[0];
    if (last === undefined) return;
    const ids = events.map(([, fields]) => fields[fields.indexOf('jobId') + 1] ?? '');
    // Later rounds of a job have its id and a number.
    await this.noteAll(ids.map((id) => id.slice(0, 36)));
    await this.#redis.set(keys.seen, last);
    if (events.length === EVENTS_AT_ONCE) await this.catchUp();
  }

  /** Counts the jobs in each state, and the rows that they wait for. */
  async figures(): Promise<StoreFigures> {
    const all = await this.#redis.hgetall(keys.figures);
    const jobs = new Map<string, number>();
    const rowsLeft = new Map<string, number>();
    for (const [field, text] of Object.entries(all)) {
      const [kind, name = ''] = field.split(' ');
      if (kind === 'jobs') jobs.set(name, Number(text));
      else rowsLeft.set(name, Number(text) / 1000);
    }
    return { jobs, rowsLeft };
  }

  /** The ids of a page of jobs. */
  async page({ tenant, limit, cursor }: PageRequest): Promise<IdPage> {
    const key = tenant === undefined ? keys.order : `${keys.order}:${tenant}`;
    const from = cursor === undefined ? '+' : `(${placeOfCursor(cursor)}`;
    const places = await this.#redis.zrevrangebylex(key, from, '-', 'LIMIT', 0, limit + 1);
    return { ids: places.slice(0, limit).map((place) => place.slice(-36)), next: nextOf(places, limit) };
  }
}
