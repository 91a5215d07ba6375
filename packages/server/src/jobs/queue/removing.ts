import type { Queue } from 'bullmq';

import { roundId, type QueuedJob } from './bullmq-flow.js';
import type { Cleaned } from './cleaner.js';
import type { Job } from '../job.js';
import type { Holdings } from './holdings.js';
import type { Ledger } from './ledger.js';
import { Removals } from '../outlived.js';
import type { QueuedJobs } from './queued-jobs.js';
import type { Results } from '../results/results.js';
import { removeSamples } from './samples.js';
import { isOver, type JobState } from '../store.js';

/** The parts of a queue that have something of a job. */
export interface Parts {
  readonly queue: Queue<QueuedJob>;
  readonly jobs: QueuedJobs;
  readonly ledger: Ledger;
  readonly holdings: Holdings;
  /** Absent where samples stay. */
  readonly results: Results | undefined;
}

/** Removes jobs of a queue that are over, with the samples that no other job has. */
export class Removing implements Cleaned {
  readonly #parts: Parts;
  readonly #removals: Removals;

  constructor(parts: Parts, onTrouble?: (error: unknown) => void) {
    this.#parts = parts;
    this.#removals = new Removals(onTrouble);
  }

  /** All jobs, and when those ended that are over. */
  async list(): Promise<{ state: JobState; endedAt: number }[]> {
    const { jobs } = this.#parts;
    const found = (await jobs.bases()).map(async (base) => {
      const { state, current } = await jobs.look(base);
      return { state, endedAt: current.finishedOn ?? Date.now() };
    });
    return Promise.all(found);
  }

  async purge(): Promise<number> {
    const { jobs } = this.#parts;
    const bases = await jobs.bases();
    const left = new Map(bases.map(({ data }) => [data.job.id, data.job]));
    for (const base of bases) {
      const { state, current } = await jobs.look(base);
      if (!isOver(state) || (await current.isActive())) continue;
      const { id } = state.job;
      if (await this.remove(id, [...left.values()])) left.delete(id);
    }
    return bases.length - left.size;
  }

  /** Removes jobs to make room. */
  async evict(ids: readonly string[]): Promise<void> {
    const { jobs } = this.#parts;
    const left = new Map((await jobs.bases()).map(({ data }) => [data.job.id, data.job]));
    for (const id of ids) if (await this.remove(id, [...left.values()])) left.delete(id);
  }

  async remove(id: string, others: readonly Job[]): Promise<boolean> {
    const { jobs, results, ledger, holdings } = this.#parts;
    const base = (await jobs.get(id))?.base;
    if (base !== undefined) {
      // A job whose samples remain stays, too, so that they are found again.
      const removeAll = async (): Promise<void> => {
        if (results !== undefined) await removeSamples(base.data.job, others, results);
      };
      if (!(await this.#removals.try(id, removeAll)) || !(await this.#removed(base.data))) return false;
    }
    await Promise.all([ledger.note(id), holdings.forget(id)]);
    return true;
  }

  /** Removes all rounds of a job, unless some of its chunks are being drawn, and tells whether it is gone. */
  async #removed({ job, round }: QueuedJob): Promise<boolean> {
    const { queue } = this.#parts;
    for (let each = round; each >= 0; --each) {
      const id = roundId(job.id, each);
      await queue.remove(id, { removeChildren: true });
      if ((await queue.getJob(id)) !== undefined) return false;
    }
    return true;
  }
}
