import { DpmError, refusal } from '../base/errors.js';
import { wrongValue } from '../base/checks.js';
import { ServiceClock, type SampleWork, type Ticket } from './clock.js';
import type { BatchCounts } from '../engine/binding.js';
import { priorities, type BatcherOptions, type Priority, type ServiceOrder } from './options.js';
import type { Pace, SampleDemand } from './pace.js';
import { Slowdown } from './slowdown.js';

/** Part of `maxWait` that an accepted request waits at most, unless it is short. */
const MOST_LATE = 1.1;
/** Milliseconds above a short `maxWait`, and steps of the batch: whoever comes during a step waits for its end. */
const [LEAST_LATE, STEPS_LATE] = [100, 2];

/** Tenant and urgency of a request. */
export interface ServiceTerms {
  readonly tenant: string;
  readonly weight: number;
  readonly priority: Priority;
  readonly deadline: number | undefined;
  /** Milliseconds of the deadline that have passed while its program was compiled. */
  readonly spent?: number;
}

/** Resources that a request needs from the batch. */
export interface Demand {
  readonly samples: readonly SampleDemand[];
  /** Bytes of `init` and `noise`. */
  readonly bytes: number;
}

/** Request that was accepted. */
export interface Admitted extends Ticket {
  readonly priority: Priority;
  readonly bytes: number;
}

/** Number of refusals by reason. */
export interface Refusals {
  /** Refusals because the expected wait was too long. */
  wait: number;
  /** Refusals because the request would have been late. */
  deadline: number;
  /** Refusals because too many bytes are held already. */
  bytes: number;
}

/** Limits of {@link BatcherOptions}, complete. */
export type Limits = Required<Pick<BatcherOptions, 'maxWait' | 'maxWork' | 'maxWaitingBytes'>>;

/**
 * Accepts requests that can be finished in time, and refuses all others at once: those of a batch, or of several, each of which has
 * a pace of its own.
 */
export class Admission {
  readonly clock: ServiceClock;
  readonly refused: Refusals = { wait: 0, deadline: 0, bytes: 0 };
  readonly #limits: { readonly [Name in keyof Limits]: number };
  readonly #admitted = new Map<Ticket, Admitted>();
  readonly #slowdown = new Slowdown();
  #bytes = 0;
  /** Time since when there is no work; null while there is some. */
  #restsSince: number | null = performance.now();

  constructor(
    { order, stretch }: { order: ServiceOrder; stretch: number },
    limits: { readonly [Name in keyof Limits]: number },
  ) {
    this.clock = new ServiceClock(order, stretch);
    this.#limits = limits;
  }

  /** Time that steps take now, over that which was measured. */
  get slowdown(): number {
    return this.#slowdown.after(this.#rest);
  }

  /** Amount of accepted and unfinished work, in milliseconds of the full batch as fast as it is now. */
  get backlog(): number {
    let sum = 0;
    for (const { work, done } of this.clock.unfinished) sum += work * (1 - done);
    return sum * this.slowdown;
  }

  get #rest(): number {
    return this.#restsSince === null ? 0 : performance.now() - this.#restsSince;
  }

  /** Takes in how long the steps of a batch take now. */
  observe(pace: Pace, counts: BatchCounts): void {
    this.#slowdown.observe(pace, counts);
  }

  /** Estimates the milliseconds until a request on these terms would begin: the work that comes before it. */
  expectedWait({ tenant, priority }: Pick<ServiceTerms, 'tenant' | 'priority'>): number {
    const start = this.clock.start(tenant);
    const rank = priorities.indexOf(priority);
    let wait = 0;
    for (const ticket of this.#admitted.values()) {
      const theirs = priorities.indexOf(ticket.priority);
      if (theirs > rank) continue;
      const left = ticket.work * (1 - ticket.done);
      wait += theirs < rank ? left : left * shareBefore(ticket, start);
    }
    return wait * this.slowdown;
  }

  /**
   * Refuses a request for which there is no room, before anything is done for it.
   *
   * @returns Milliseconds until a request on these terms would begin.
   * @throws {@link DpmError} `ERR_DPM_OVERLOADED`.
   */
  requireRoom(terms: ServiceTerms): number {
    const wait = this.expectedWait(terms);
    if (wait <= this.#limits.maxWait) return wait;
    ++this.refused.wait;
    throw refusal(
      'ERR_DPM_OVERLOADED',
      `the expected wait is ${Math.ceil(wait)} ms, above maxWait of ${this.#limits.maxWait} ms`,
      Math.ceil(wait),
    );
  }

  /** Computes the milliseconds that an accepted request waits at most, also where its expected wait turns out to be wrong. */
  mostQueued(pace: Pace): number {
    const { maxWait } = this.#limits;
    const steps = STEPS_LATE * this.slowdown * pace.stepTime(pace.rows);
    return Math.max(MOST_LATE * maxWait, maxWait + LEAST_LATE + steps);
  }

  /** The error of a request in the batch: that of a refusal if it has waited for too long. */
  whileQueued(error: unknown, terms: ServiceTerms, ticket: Admitted): unknown {
    if (!(error instanceof DpmError) || error.code !== 'ERR_DPM_OVERLOADED') return error;
    ++this.refused.wait;
    // Its own work is not what another request would wait for.
    this.finish(ticket);
    return refusal(
      'ERR_DPM_OVERLOADED',
      `the request has waited for more than maxWait of ${this.#limits.maxWait} ms: the device has become slower, or more urgent ones came`,
      Math.max(1, Math.ceil(this.expectedWait(terms))),
    );
  }

  /**
   * Refuses a request that would be late if it has these samples.
   *
   * @throws {@link DpmError} `ERR_DPM_DEADLINE`.
   */
  requireInTime(terms: ServiceTerms, samples: readonly SampleDemand[], pace: Pace): void {
    const { deadline, spent = 0 } = terms;
    if (deadline === undefined) return;
    const wait = this.expectedWait(terms);
    const own = this.slowdown * this.#ownTime(samples, pace);
    if (spent + wait + own <= deadline) return;
    ++this.refused.deadline;
    const passed = spent > 0 ? `, of which ${Math.ceil(spent)} ms have passed` : '';
    throw refusal(
      'ERR_DPM_DEADLINE',
      `the expected wait of ${Math.ceil(wait)} ms and ${Math.ceil(own)} ms of its own work end after the deadline of ${deadline} ms${passed}`,
      Math.max(1, Math.ceil(wait)),
    );
  }

  /**
   * Accepts a request.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for too much work, `ERR_DPM_OVERLOADED`, `ERR_DPM_DEADLINE`.
   */
  admit(terms: ServiceTerms, { samples, bytes }: Demand, pace: Pace): Admitted {
    const works = samples.map((sample) => pace.workOf(sample));
    const total = totalWork(works);
    if (total > this.#limits.maxWork) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        `the request takes ${Math.ceil(total)} ms of the whole batch, above maxWork of ${this.#limits.maxWork} ms`,
      );
    }
    this.#requireBytes(bytes);
    this.requireInTime(terms, samples, pace);
    const { tenant, weight, priority, spent = 0 } = terms;
    // The clock's milliseconds are those that were measured.
    const deadline = terms.deadline === undefined ? undefined : (terms.deadline - spent) / this.slowdown;
    const ticket = this.clock.admit({ tenant, weight, samples: works, deadline });
    this.#slowdown.rested(this.#rest);
    this.#restsSince = null;
    const admitted = Object.assign(ticket, { priority, bytes });
    this.#admitted.set(ticket, admitted);
    this.#bytes += bytes;
    return admitted;
  }

  /**
   * Counts bytes that a request holds before it is accepted, until the returned function is called.
   *
   * @throws {@link DpmError} `ERR_DPM_OVERLOADED`.
   */
  hold(bytes: number): () => void {
    this.#requireBytes(bytes);
    this.#bytes += bytes;
    return () => {
      this.#bytes -= bytes;
    };
  }

  /** Removes a finished request. */
  finish(ticket: Admitted): void {
    if (!this.#admitted.delete(ticket)) return;
    this.#bytes -= ticket.bytes;
    this.clock.finish(ticket);
    if (this.#admitted.size === 0) this.#restsSince = performance.now();
  }

  #requireBytes(bytes: number): void {
    const { maxWaitingBytes } = this.#limits;
    if (bytes > maxWaitingBytes) {
      throw wrongValue('the size of init and noise', bytes, `at most maxWaitingBytes, ${maxWaitingBytes} bytes`);
    }
    if (this.#bytes + bytes <= maxWaitingBytes) return;
    ++this.refused.bytes;
    throw refusal(
      'ERR_DPM_OVERLOADED',
      `requests hold ${this.#bytes} bytes of init and noise already, ${bytes} more are above maxWaitingBytes of ${maxWaitingBytes}`,
      Math.max(1, Math.ceil(this.backlog)),
    );
  }

  /** Computes the time of the longest sample beside those that run now, or of all samples together. */
  #ownTime(samples: readonly SampleDemand[], pace: Pace): number {
    const total = totalWork(samples.map((sample) => pace.workOf(sample)));
    const rows = samples.reduce((sum, sample) => sum + sample.rows, this.clock.unfinished.size);
    const step = pace.stepTime(rows);
    const longest = samples.reduce(
      (most, { evaluations, beside = 0 }) => Math.max(most, evaluations * step + beside),
      0,
    );
    return Math.max(total, longest);
  }
}

function totalWork(works: readonly SampleWork[]): number {
  return works.reduce((sum, { work }) => sum + work, 0);
}

/** Computes the share of a request's remaining work that starts no later than `start`. */
function shareBefore({ start: first, lastStart, done }: Ticket, start: number): number {
  if (start >= lastStart) return 1;
  const next = first + done * (lastStart - first);
  return start < next ? 0 : (start - next) / (lastStart - next);
}
