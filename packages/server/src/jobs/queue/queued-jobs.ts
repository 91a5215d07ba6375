import type { Job as Queued, Queue } from 'bullmq';

import { failuresOf, isQueuedJob, queuedJob, roundId, type QueuedJob } from './bullmq-flow.js';
import type { JobPhase, JobState } from '../store.js';

/** A job in the queue as it is now. */
export interface Looked {
  readonly state: JobState;
  /** Its first round, which has its data, and its current one. */
  readonly base: Queued<QueuedJob>;
  readonly current: Queued<QueuedJob>;
}

/** Reads jobs of a queue. */
export class QueuedJobs {
  readonly #queue: Queue<QueuedJob>;

  constructor(queue: Queue<QueuedJob>) {
    this.#queue = queue;
  }

  /** A job as it is now; undefined where there is none. */
  async get(id: string): Promise<Looked | undefined> {
    const base = await queuedJob(this.#queue, id);
    return base === undefined ? undefined : this.look(base);
  }

  /** All jobs without their later rounds. */
  async bases(): Promise<Queued<QueuedJob>[]> {
    const all = await this.#queue.getJobs();
    return all.filter(({ id, data }) => isQueuedJob(data) && id === data.job.id);
  }

  async look(base: Queued<QueuedJob>): Promise<Looked> {
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
    return { state: { job, state, doneChunks, failures }, base, current };
  }
}

/** The phase of a job, from its state in the queue. */
function phaseOf(where: string, hasBegun: boolean): JobPhase {
  if (where === 'completed') return 'done';
  if (where === 'failed') return 'failed';
  return hasBegun ? 'running' : 'queued';
}
