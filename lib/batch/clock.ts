import type { ServiceOrder } from './options.js';

/** Work of a sample, in milliseconds of the device. */
export interface SampleWork {
  /** Rows over the rate of the full batch: the time that others wait for it. */
  readonly work: number;
  /** Time of the sample itself if every step is a full batch. */
  readonly run: number;
}

/** Admitted request on the clock. */
export interface Ticket {
  readonly tenant: string;
  readonly weight: number;
  /** Keys of the samples, one each; the sample with the least key runs first. */
  readonly keys: Float64Array;
  /** Start tags of its first and last sample, and of its tenant's next request. */
  readonly start: number;
  readonly lastStart: number;
  readonly end: number;
  /** Work of all samples. */
  readonly work: number;
  /** Share of its records that are done. */
  done: number;
}

/** Request that arrives at the clock. */
export interface Arrival {
  readonly tenant: string;
  readonly weight: number;
  readonly samples: readonly SampleWork[];
  /** Deadline in milliseconds from now. */
  readonly deadline?: number | undefined;
}

/** Milliseconds of the time that passes. */
const monotonic = (): number => performance.now();

/** Number of tenants above which those whose tags have passed are forgotten. */
const MOST_TENANTS = 1024;

/**
 * Clock that gives samples their keys: start-time fair queueing (Goyal, Vin & Cheng 1996) with an allowance in
 * proportion to the sample's own length. All values are in milliseconds of the full batch, not in time of day.
 */
export class ServiceClock {
  readonly #order: ServiceOrder;
  readonly #stretch: number;
  readonly #unfinished = new Set<Ticket>();
  /** Earliest start of every tenant's next request. */
  readonly #finish = new Map<string, number>();
  #now = 0;
  #latest = 0;

  constructor(order: ServiceOrder, stretch: number) {
    this.#order = order;
    this.#stretch = stretch;
  }

  /** Requests that have been admitted and not finished. */
  get unfinished(): ReadonlySet<Ticket> {
    return this.#unfinished;
  }

  /** Number of remembered tenants. */
  get tenants(): number {
    return this.#finish.size;
  }

  /** Least start tag of unfinished work; it never decreases. */
  get now(): number {
    let least = Infinity;
    for (const { start, lastStart, done } of this.#unfinished) {
      least = Math.min(least, start + done * (lastStart - start));
    }
    this.#now = Math.max(this.#now, least === Infinity ? this.#latest : least);
    return this.#now;
  }

  /** Computes the start tag of the tenant's next request. */
  start(tenant: string): number {
    return Math.max(this.now, this.#finish.get(this.#tag(tenant)) ?? 0);
  }

  /** Admits a request. */
  admit({ tenant, weight, samples, deadline }: Arrival): Ticket {
    const now = this.now;
    const start = this.start(tenant);
    const keys = new Float64Array(samples.length);
    const share = this.#order === 'share' ? weight : 1;
    let lastStart = start;
    let end = start;
    let total = 0;
    samples.forEach(({ work, run }, index) => {
      lastStart = end;
      end += work / share;
      total += work;
      keys[index] = Math.min(this.#key(lastStart, run), this.#latestStart(now, deadline, work));
    });
    const ticket: Ticket = { tenant, weight, keys, start, lastStart, end, work: total, done: 0 };
    this.#unfinished.add(ticket);
    this.#setFinish(tenant, end);
    return ticket;
  }

  /** Removes a request whose work is over, for any reason: a tenant does not pay for work that was not done. */
  finish(ticket: Ticket): void {
    this.#unfinished.delete(ticket);
    const unused = (1 - ticket.done) * (ticket.end - ticket.start);
    const tag = this.#tag(ticket.tenant);
    const finish = this.#finish.get(tag);
    if (finish !== undefined) this.#finish.set(tag, finish - unused);
  }

  /** Charges a tenant for work that was done beside the batch. */
  charge(tenant: string, weight: number, work: number): void {
    this.#setFinish(tenant, this.start(tenant) + work / weight);
  }

  /** Does work here, such as making a program, and charges a tenant for the time that it takes, whether it fails or not. */
  charging<T>({ tenant, weight }: Pick<Arrival, 'tenant' | 'weight'>, work: () => T, now = monotonic): T {
    const began = now();
    try {
      return work();
    } finally {
      this.charge(tenant, weight, now() - began);
    }
  }

  #key(start: number, run: number): number {
    if (this.#order === 'shortest') return run;
    return start + (this.#order === 'share' ? this.#stretch * run : 0);
  }

  /** Computes when a request has to start to be done in time. */
  #latestStart(now: number, deadline: number | undefined, work: number): number {
    if (deadline === undefined) return Infinity;
    return (this.#order === 'shortest' ? 0 : now) + deadline - work;
  }

  /** Gives the tenant's name, or one name for all unless the order is `share`. */
  #tag(tenant: string): string {
    return this.#order === 'share' ? tenant : '';
  }

  #setFinish(tenant: string, finish: number): void {
    this.#latest = Math.max(this.#latest, finish);
    this.#finish.set(this.#tag(tenant), finish);
    if (this.#finish.size <= MOST_TENANTS) return;
    for (const [each, tag] of this.#finish) {
      if (tag <= this.#now) this.#finish.delete(each);
    }
  }
}
