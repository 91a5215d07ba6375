import { holdingOf, type Holding } from '../admission.js';
import { CLEAN_EVERY, outlived, type Keeping } from '../outlived.js';
import type { Job } from '../job.js';
import { isOver, type JobState } from '../store.js';
import type { Holdings } from './holdings.js';

/** The jobs of a queue, as a cleaner needs them. */
export interface Cleaned {
  /** All of them. */
  list(): Promise<{ state: JobState; endedAt: number }[]>;
  /** Removes a job with the samples that no other has. */
  remove(id: string, others: readonly Job[]): Promise<boolean>;
}

/**
 * Removes jobs with their samples once they are not kept any more, and corrects what is held where it differs from the queue. Several of
 * them do no harm to each other: what is gone is no error.
 */
export class Cleaner {
  readonly #holdings: Holdings;
  readonly #jobs: Cleaned;
  readonly #keeping: Keeping;
  readonly #timer: NodeJS.Timeout;
  #cleaning: Promise<void> = Promise.resolve();

  constructor(holdings: Holdings, jobs: Cleaned, keeping: Keeping) {
    this.#holdings = holdings;
    this.#jobs = jobs;
    this.#keeping = keeping;
    this.#timer = setInterval(() => void this.clean(), CLEAN_EVERY);
    this.#timer.unref();
  }

  /** Cleans once. Where Redis is gone there is another time. */
  clean(): Promise<void> {
    this.#cleaning = this.#cleaning.then(() => this.#clean()).catch(() => undefined);
    return this.#cleaning;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#cleaning;
  }

  async #clean(): Promise<void> {
    const listed = await this.#jobs.list();
    const jobs = new Map(listed.map(({ state: { job } }) => [job.id, job]));
    for (const { id } of outlived(await this.#held(listed), this.#keeping, Date.now())) {
      if (await this.#jobs.remove(id, [...jobs.values()])) jobs.delete(id);
    }
  }

  /** What is held for jobs, after their entries have been corrected. */
  async #held(listed: readonly { state: JobState; endedAt: number }[]): Promise<Holding[]> {
    const entered = new Map((await this.#holdings.all()).map((entry) => [entry.id, entry]));
    const held: Holding[] = [];
    for (const { state, endedAt } of listed) {
      const entry = entered.get(state.job.id);
      if (entry?.isOver === isOver(state)) held.push(entry);
      else {
        const found = holdingOf(state, endedAt);
        await (entry === undefined ? this.#holdings.adopt(found) : this.#holdings.update(found));
        held.push(found);
      }
    }
    return held;
  }
}
