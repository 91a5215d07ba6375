import { DpmError } from 'dpm-native';

import type { Quota } from '../../base/client.js';
import { admitted, holdingOf, leastSeconds, MOST_JOBS, type Capacity, type Holding } from '../admission.js';
import type { Job } from '../job.js';
import { isOver, type JobState } from '../store.js';
import type { Holdings } from './holdings.js';

/** Milliseconds within which an entered job is added to the queue. */
const ADDING = 60_000;
/** The number of times that room is made for a job, as others may take it first. */
const TRIES = 5;

/** The limits of a queue. */
export interface RoomOptions {
  /** The most jobs, by default 10,000. */
  mostJobs?: number;
  /** The most bytes of samples, by default no limit. */
  keepBytes?: number;
  /** Tells how long a job still takes, where that is known. */
  secondsLeft?: (state: JobState) => number | undefined;
}

/** The jobs that room is made among. */
export interface Jobs {
  get(id: string): Promise<JobState | undefined>;
  /** Removes jobs that are over, as far as they can be. */
  evict(ids: readonly string[]): Promise<void>;
}

/** Who takes the room of a queue. */
export class Room {
  readonly #holdings: Holdings;
  readonly #jobs: Jobs;
  readonly #options: RoomOptions;

  constructor(holdings: Holdings, jobs: Jobs, options: RoomOptions) {
    this.#holdings = holdings;
    this.#jobs = jobs;
    this.#options = options;
  }

  /**
   * Takes room for a job that is to be drawn.
   *
   * @throws As {@link admitted} does.
   */
  async take(job: Job, quota: Quota): Promise<void> {
    const { mostJobs = MOST_JOBS, keepBytes = Infinity } = this.#options;
    const capacity: Capacity = { jobs: mostJobs, bytes: keepBytes };
    const newcomer = holdingOf({ job, state: 'queued', doneChunks: 0 }, Date.now());
    for (let tries = 0; tries < TRIES; ++tries) {
      if (await this.#holdings.enter(newcomer, quota, capacity)) return;
      await this.#make(newcomer, quota, capacity);
    }
    throw new DpmError('ERR_DPM_OVERLOADED', 'others take the room of jobs that are over', { retryAfterMs: 1000 });
  }

  /** Notes that a job is over. */
  settle(state: JobState): Promise<void> {
    return this.#holdings.update(holdingOf(state, Date.now()));
  }

  forget(id: string): Promise<void> {
    return this.#holdings.forget(id);
  }

  async #make(newcomer: Holding, quota: Quota, capacity: Capacity): Promise<void> {
    const held = (await this.#holdings.all()).filter(({ id }) => id !== newcomer.id);
    const isOwn = ({ tenant, isOver: isEnded }: Holding): boolean => tenant === newcomer.tenant && !isEnded;
    const own = await Promise.all(held.filter(isOwn).map((holding) => this.#looked(holding)));
    const states = own.flatMap(({ state }) => state ?? []);
    const { secondsLeft } = this.#options;
    const gone = admitted({
      newcomer,
      held: [...held.filter((holding) => !isOwn(holding)), ...own.flatMap(({ holding }) => holding ?? [])],
      quota,
      capacity,
      secondsLeft: () => leastSeconds(states, secondsLeft),
    });
    await this.#jobs.evict(gone.map(({ id }) => id));
  }

  /** What a job holds that is not over by its entry, which is corrected where its worker or its server has died. */
  async #looked(holding: Holding): Promise<{ holding?: Holding; state?: JobState }> {
    const state = await this.#jobs.get(holding.id);
    if (state === undefined) {
      if (Date.now() - holding.changedAt < ADDING) return { holding };
      await this.forget(holding.id);
      return {};
    }
    if (!isOver(state)) return { holding, state };
    await this.settle(state);
    return { holding: holdingOf(state, Date.now()) };
  }
}
