import { DpmError } from 'dpm-native';

import type { Quota } from '../base/client.js';
import { ServerError } from '../base/problem.js';
import { chunkCount, chunkFormat, type Job } from './job.js';
import { isOver, type JobState } from './store.js';

/** The most jobs of a store, as all of them are listed. */
export const MOST_JOBS = 10_000;

/** Bytes of the header of a chunk's file, at most. */
const HEADER = 128;

/** Seconds after which there may be room, where nothing tells more, and the most that an answer names. */
const SECONDS = 60;
const MOST_SECONDS = 3600;

/** What a whole store may hold. */
export interface Capacity {
  readonly jobs: number;
  readonly bytes: number;
}

/** What a store holds for a job. */
export interface Holding {
  readonly id: string;
  readonly tenant: string;
  readonly weight: number;
  readonly samples: number;
  /** Bytes of its samples: of all of them until it is over, so that accepted jobs have room for what they are to draw. */
  readonly bytes: number;
  readonly isOver: boolean;
  /** True where it can be removed now. */
  readonly canGo: boolean;
  /** The time of its last change, in milliseconds since the epoch. */
  readonly changedAt: number;
}

/** A store is asked for room. */
export interface Asked {
  readonly newcomer: Holding;
  /** All others. */
  readonly held: readonly Holding[];
  readonly quota: Quota;
  readonly capacity: Capacity;
  /** Seconds after which the tenant's next job may be over; undefined where they are not known. */
  readonly secondsLeft: () => number | undefined;
}

/** Bytes of the samples of some chunks of a job, by default of all. A picture counts as what it shows: its size is known too late. */
export function bytesOf(job: Job, chunks: number = chunkCount(job)): number {
  const { body, shape } = job;
  const isFloat = body.dtype === 'f32' && chunkFormat(job) !== 'png';
  const each = shape.reduce((product, size) => product * size, isFloat ? Float32Array.BYTES_PER_ELEMENT : 1);
  const all = chunkCount(job);
  return Math.ceil(((body.count * each + all * HEADER) * chunks) / all);
}

/** What a store holds for a job in a state. */
export function holdingOf(state: Pick<JobState, 'job' | 'state' | 'doneChunks'>, changedAt: number): Holding {
  const { job, doneChunks } = state;
  const { id, tenant, weight, body } = job;
  const isEnded = isOver(state);
  const bytes = isEnded ? bytesOf(job, doneChunks) : bytesOf(job);
  return { id, tenant, weight, samples: body.count, bytes, isOver: isEnded, canGo: isEnded, changedAt };
}

/** A quantity that is limited. */
type Count = (holding: Holding) => number;

function sumOf(held: readonly Holding[], count: Count): number {
  return held.reduce((sum, each) => sum + count(each), 0);
}

/** What the message of a quota names. */
const told: Readonly<Record<keyof Quota, string>> = {
  unfinishedJobs: 'jobs that are not over',
  unfinishedSamples: 'samples of jobs that are not over',
  resultBytes: 'bytes of samples of jobs',
};

const counts: Readonly<Record<keyof Quota, Count>> = {
  unfinishedJobs: ({ isOver: isEnded }) => (isEnded ? 0 : 1),
  unfinishedSamples: ({ isOver: isEnded, samples }) => (isEnded ? 0 : samples),
  resultBytes: ({ bytes }) => bytes,
};

/** The header that tells when there may be room. */
function retryAfter(secondsLeft: () => number | undefined): Record<string, string> {
  const seconds = Math.ceil(secondsLeft() ?? SECONDS);
  return { 'retry-after': String(Math.min(Math.max(seconds, 1), MOST_SECONDS)) };
}

/** @throws {@link ServerError} `ERR_DPM_QUOTA` naming the quota that a tenant would exceed, whatever of its jobs that are over goes. */
function requireQuota({ newcomer, held, quota, secondsLeft }: Asked): void {
  const unfinished = held.filter(({ tenant, isOver: isEnded }) => tenant === newcomer.tenant && !isEnded);
  for (const [name, count] of Object.entries(counts) as [keyof Quota, Count][]) {
    const most = quota[name];
    const [own, more] = [sumOf(unfinished, count), count(newcomer)];
    if (own + more <= most) continue;
    if (more > most) {
      // No wait helps.
      const message = `quota ${name} is ${most} ${told[name]}, this one has ${more}`;
      throw new ServerError('ERR_DPM_QUOTA', message, { status: 422 });
    }
    throw new ServerError('ERR_DPM_QUOTA', `quota ${name} is ${most} ${told[name]}, there are ${own}`, {
      // As servers of files answer who has no more room (RFC 4331); other clients may have some.
      ...(name === 'resultBytes' && { status: 507 }),
      headers: retryAfter(secondsLeft),
    });
  }
}

/** Jobs of which some go, the first ones first. */
class Eviction {
  readonly #newcomer: Holding;
  readonly #kept: Set<Holding>;
  readonly #gone: Holding[] = [];

  constructor({ newcomer, held }: Asked) {
    this.#newcomer = newcomer;
    this.#kept = new Set(held.toSorted((a, b) => a.changedAt - b.changedAt));
  }

  get gone(): readonly Holding[] {
    return this.#gone;
  }

  #all(): Holding[] {
    return [...this.#kept, this.#newcomer];
  }

  /** Lets jobs that are over go until there is room, and tells whether there is. */
  makeRoom(most: number, count: Count, choose: () => Holding | undefined): boolean {
    for (let sum = sumOf(this.#all(), count); sum > most;) {
      const next = choose();
      if (next === undefined) return false;
      this.#kept.delete(next);
      this.#gone.push(next);
      sum -= count(next);
    }
    return true;
  }

  #first(isChosen: (holding: Holding) => boolean): Holding | undefined {
    for (const each of this.#kept) if (each.canGo && isChosen(each)) return each;
    return undefined;
  }

  /** The oldest of the newcomer's tenant. */
  ownFirst(): Holding | undefined {
    return this.#first(({ tenant }) => tenant === this.#newcomer.tenant);
  }

  /**
   * The oldest of the tenants that hold more than their share. Where those have none that is over, the oldest of all, unless the
   * newcomer's own tenant is such a one.
   */
  sharedFirst(most: number, count: Count): Holding | undefined {
    const weights = new Map(this.#all().map(({ tenant, weight }) => [tenant, weight]));
    const share = most / [...weights.values()].reduce((sum, weight) => sum + weight, 0);
    const used = new Map<string, number>();
    for (const each of this.#all()) used.set(each.tenant, (used.get(each.tenant) ?? 0) + count(each));
    const isAbove = (tenant: string): boolean => (used.get(tenant) ?? 0) > share * (weights.get(tenant) ?? 0);
    const ofGreedy = this.#first(({ tenant }) => isAbove(tenant));
    return ofGreedy ?? (isAbove(this.#newcomer.tenant) ? undefined : this.#first(() => true));
  }
}

/**
 * Makes room for a job: the oldest that are over go where it is needed, never others.
 *
 * @returns The jobs that have to go.
 * @throws {@link ServerError} `ERR_DPM_QUOTA` naming the quota of the tenant, `ERR_DPM_STORAGE` where there is no room for the bytes;
 * `DpmError` `ERR_DPM_OVERLOADED` where the store has as many jobs as it can.
 */
export function admitted(asked: Asked): readonly Holding[] {
  requireQuota(asked);
  const { quota, capacity, secondsLeft } = asked;
  const eviction = new Eviction(asked);
  const { resultBytes } = counts;
  const one: Count = () => 1;
  const own: Count = (holding) => (holding.tenant === asked.newcomer.tenant ? resultBytes(holding) : 0);
  eviction.makeRoom(quota.resultBytes, own, () => eviction.ownFirst());
  if (!eviction.makeRoom(capacity.jobs, one, () => eviction.sharedFirst(capacity.jobs, one))) {
    const retryAfterMs = SECONDS * 1000;
    throw new DpmError('ERR_DPM_OVERLOADED', `there is room for ${capacity.jobs} jobs`, { retryAfterMs });
  }
  if (!eviction.makeRoom(capacity.bytes, resultBytes, () => eviction.sharedFirst(capacity.bytes, resultBytes))) {
    const message = `keepBytes is ${capacity.bytes}, which the jobs that are not over need`;
    throw new ServerError('ERR_DPM_STORAGE', message, { headers: retryAfter(secondsLeft) });
  }
  return eviction.gone;
}

/** The least of the seconds that jobs still take; undefined where none are known. */
export function leastSeconds(
  states: Iterable<JobState>,
  secondsLeft: ((state: JobState) => number | undefined) | undefined,
): number | undefined {
  const seconds = [...states].flatMap((state) => secondsLeft?.(state) ?? []);
  return seconds.length === 0 ? undefined : Math.min(...seconds);
}
