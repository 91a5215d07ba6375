import type { ServiceOrder } from './options.js';

/** A sample's work, in milliseconds of the device. */
export interface SampleWork {
  /** Its rows over the rate of the full batch: what others wait for it. */
  readonly work: number;
  /** Its own time where every step is a full batch. */
  readonly run: number;
}

/** An admitted request on the clock. */
export interface Ticket {
  readonly tenant: string;
  readonly weight: number;
  /** One per sample; the least run first. */
  readonly keys: Float64Array;
  /** Tags of its first and of its last sample, and where its tenant's next request starts. */
  readonly start: number;
  readonly lastStart: number;
  readonly end: number;
  /** Work of all samples. */
  readonly work: number;
  /** Share of its records that are done. */
  done: number;
}

/** What a request brings to the clock. */
export interface Arrival {
  readonly tenant: string;
  readonly weight: number;
  readonly samples: readonly SampleWork[];
  /** Milliseconds from now. */
  readonly deadline?: number | undefined;
}

/** Tenants whose tags have passed are forgotten when there are more. */
const MOST_TENANTS = 1024;

/**
 * Keys of samples: start-time fair queueing (Goyal, Vin & Cheng 1996) with an allowance in proportion to the sample's own length. The
 * unit of everything is the millisecond of the full batch; nothing looks at the time of day.
 */
export class ServiceClock {
  readonly #order: ServiceOrder;
  readonly #stretch: number;
  readonly #unfinished = new Set<Ticket>();
  /** Where every tenant's next request starts at the earliest. */
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

  /** Tenants that are remembered. */
  get tenants(): number {
    return this.#finish.size;
  }

  /** The least start tag of unfinished work; it never falls. */
  get now(): number {
    let least = Infinity;
    for (const { start, lastStart, done } of this.#unfinished) {
      least = Math.min(least, start + done * (lastStart - start));
    }
    this.#now = Math.max(this.#now, least === Infinity ? this.#latest : least);
    return this.#now;
  }

  /** The start tag that a request of the tenant would get. */
  start(tenant: string): number {
    return Math.max(this.now, this.#finish.get(this.#tag(tenant)) ?? 0);
  }

  /** Takes a request in. */
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

  /** Its work is over, whatever came of it: a tenant does not pay for what was not done. */
  finish(ticket: Ticket): void {
    this.#unfinished.delete(ticket);
    const unused = (1 - ticket.done) * (ticket.end - ticket.start);
    const tag = this.#tag(ticket.tenant);
    const finish = this.#finish.get(tag);
    if (finish !== undefined) this.#finish.set(tag, Math.max(this.#now, finish - unused));
  }

  /** Work that was done for a tenant beside the batch. */
  charge(tenant: string, weight: number, work: number): void {
    this.#setFinish(tenant, this.start(tenant) + work / weight);
  }

  #key(start: number, run: number): number {
    if (this.#order === 'shortest') return run;
    return start + (this.#order === 'share' ? this.#stretch * run : 0);
  }

  /** When it has to start to be done in time. */
  #latestStart(now: number, deadline: number | undefined, work: number): number {
    if (deadline === undefined) return Infinity;
    return (this.#order === 'shortest' ? 0 : now) + deadline - work;
  }

  /** Only `share` tells tenants apart. */
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
