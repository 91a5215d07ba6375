import type { Job } from '../job.js';
import type { SpoolJob } from './spool-job.js';

const ranks = { high: 0, normal: 1, low: 2 } as const;

/** The order in which jobs of a tenant are drawn: by priority, then by age. */
export function order({ job: a }: Pick<SpoolJob, 'job'>, { job: b }: Pick<SpoolJob, 'job'>): number {
  const priority = rankOf(a) - rankOf(b);
  if (priority !== 0) return priority;
  return a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : a.id < b.id ? -1 : 1;
}

function rankOf({ body }: Job): number {
  return ranks[body.priority ?? 'normal'];
}

/** The work of a chunk: rows of evaluations, or samples where the rows are not known. */
function workOf({ job, chunks }: SpoolJob): number {
  return (job.rows === 0 ? job.body.count : job.rows) / chunks;
}

/** The work that each tenant of a queue has had, by which chunks are chosen as batches choose steps (start-time fair queueing). */
class Turns {
  /** The turn that was chosen last. */
  #now = 0;
  /** The next turn of each tenant. */
  readonly #next = new Map<string, number>();

  /** The turn of a tenant. Who had nothing to draw has saved no turns. */
  of(tenant: string): number {
    return Math.max(this.#next.get(tenant) ?? 0, this.#now);
  }

  take(entry: SpoolJob): void {
    const { tenant, weight } = entry.job;
    this.#now = this.of(tenant);
    this.#next.set(tenant, this.#now + workOf(entry) / weight);
    for (const [each, turn] of this.#next) if (turn <= this.#now) this.#next.delete(each);
  }
}

/** The jobs of one priority, by their tenants; of each the last one is the first to be drawn. */
type Waiting = Map<string, SpoolJob[]>;

/** Sorts jobs by queues and priorities, the first ones first. */
function grouped(jobs: Iterable<SpoolJob>): Map<string, Map<number, Waiting>> {
  const queues = new Map<string, Map<number, Waiting>>();
  for (const entry of [...jobs].sort((a, b) => rankOf(a.job) - rankOf(b.job) || order(b, a))) {
    const levels = queues.get(entry.queue) ?? new Map<number, Waiting>();
    queues.set(entry.queue, levels);
    const level: Waiting = levels.get(rankOf(entry.job)) ?? new Map<string, SpoolJob[]>();
    levels.set(rankOf(entry.job), level);
    const own = level.get(entry.job.tenant);
    if (own === undefined) level.set(entry.job.tenant, [entry]);
    else own.push(entry);
  }
  return queues;
}

/** The first job of the tenant whose turn it is; undefined where there is none. */
function firstOf(waiting: Waiting, turns: Turns, canTake: (entry: SpoolJob) => boolean): SpoolJob | undefined {
  const inTurn = [...waiting].sort(([a], [b]) => turns.of(a) - turns.of(b));
  for (const [tenant, own] of inTurn) {
    for (let entry = own.at(-1); entry !== undefined; entry = own.at(-1)) {
      if (canTake(entry)) return entry;
      own.pop();
    }
    waiting.delete(tenant);
  }
  return undefined;
}

/** Shares what can be drawn at once between the tenants of each queue, by their weights. */
export class FairShares {
  readonly #turns = new Map<string, Turns>();

  /**
   * Takes chunks of jobs until none can be taken.
   *
   * @param canTake - Tells whether a chunk of a job can be drawn now. Once it cannot, it cannot in this call.
   * @param take - Begins to draw the next chunk of a job.
   */
  takeAll(jobs: Iterable<SpoolJob>, canTake: (entry: SpoolJob) => boolean, take: (entry: SpoolJob) => void): void {
    for (const [queue, levels] of grouped(jobs)) {
      const turns = this.#turns.get(queue) ?? new Turns();
      this.#turns.set(queue, turns);
      for (const waiting of levels.values()) {
        for (let entry = firstOf(waiting, turns, canTake); entry !== undefined;) {
          turns.take(entry);
          take(entry);
          entry = firstOf(waiting, turns, canTake);
        }
      }
    }
  }
}
