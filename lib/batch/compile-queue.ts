import { DpmError } from '../base/errors.js';
import { requireKind, type Kind } from '../base/option-kinds.js';
import type { CompileElsewhere, Compiled, CompileTask } from '../samplers/compile.js';
import type { Refusals, ServiceTerms } from './admission.js';
import { ServiceClock, type Ticket } from './clock.js';
import { priorities } from './options.js';

/** Who asks for a program and is charged for the time that it takes. */
export type Asker = Pick<ServiceTerms, 'tenant' | 'weight' | 'priority'>;

/** A program that is being made elsewhere, or waits for it. */
export interface Compilation {
  readonly done: Promise<Compiled>;
}

interface Waiting extends Compilation {
  readonly task: CompileTask;
  /** Who has asked first, with the highest priority of all who have. */
  asker: Asker;
  /** Number of requests that want it. */
  askers: number;
  readonly turn: Ticket;
  settle(done: Promise<Compiled>): void;
}

/** Most programs of a tenant that wait to be made. */
const MOST_WAITING = 16;

/** Milliseconds that a program is thought to take until it is made. */
const GUESS = 10;

const rank = (priority: Asker['priority']): number => priorities.indexOf(priority);

const compiledKind: Kind = {
  expected: 'what compileTask gives',
  holds: (value) => {
    const { milliseconds } = Object(value) as Partial<Compiled>;
    return typeof milliseconds === 'number' && milliseconds >= 0 && milliseconds < Infinity;
  },
};

/**
 * Programs that another thread makes, one at a time, in turns that are fair between tenants. Each tenant is charged for its time
 * as for work of the device.
 */
export class CompileQueue {
  readonly #compile: CompileElsewhere;
  readonly #clock: ServiceClock;
  readonly #refused: Refusals;
  readonly #waiting = new Set<Waiting>();
  /** Turns of tenants: the batch's own clock stands still where only programs are made. */
  readonly #turns = new ServiceClock('share', 0);
  #running: Waiting | null = null;
  /** Milliseconds of the last program. */
  #last = GUESS;

  constructor(compile: CompileElsewhere, { clock, refused }: { clock: ServiceClock; refused: Refusals }) {
    this.#compile = compile;
    this.#clock = clock;
    this.#refused = refused;
  }

  /** Number of programs that are made or wait for it. */
  get unfinished(): number {
    return this.#waiting.size + (this.#running === null ? 0 : 1);
  }

  /**
   * Adds a program that one asker wants.
   *
   * @throws {@link DpmError} `ERR_DPM_OVERLOADED` if too many of its tenant wait.
   */
  add(task: CompileTask, asker: Asker): Compilation {
    const own = [...this.#waiting].filter(({ asker: { tenant } }) => tenant === asker.tenant).length;
    if (own >= MOST_WAITING) {
      ++this.#refused.wait;
      const text = `${own} programs of this tenant wait to be compiled already, at most ${MOST_WAITING} may`;
      throw new DpmError('ERR_DPM_OVERLOADED', text, { retryAfterMs: Math.max(1, Math.ceil(own * this.#last)) });
    }
    let settle: Waiting['settle'] = () => undefined;
    const done = new Promise<Compiled>((resolve) => (settle = resolve));
    // It fails for those who wait for it; there may be none left.
    done.catch(() => undefined);
    const { tenant, weight } = asker;
    const turn = this.#turns.admit({ tenant, weight, samples: [{ work: GUESS, run: 0 }] });
    const added: Waiting = { task, asker, done, askers: 1, settle, turn };
    this.#waiting.add(added);
    this.#begin();
    return added;
  }

  /** Adds somebody who wants a program, too, which does not wait longer then than others of that priority. */
  join(compilation: Compilation, { priority }: Pick<Asker, 'priority'>): void {
    const joined = compilation as Waiting;
    ++joined.askers;
    if (rank(priority) < rank(joined.asker.priority)) joined.asker = { ...joined.asker, priority };
  }

  /** Takes away somebody. @returns True where nobody wants it any more and it is left out; what is being made goes on. */
  leave(compilation: Compilation): boolean {
    const left = compilation as Waiting;
    if (--left.askers > 0 || !this.#waiting.delete(left)) return false;
    this.#turns.finish(left.turn);
    return true;
  }

  #begin(): void {
    const next = this.#running === null ? this.#first() : undefined;
    if (next === undefined) return;
    this.#waiting.delete(next);
    this.#running = next;
    next.settle(this.#made(next));
  }

  async #made({ task, asker: { tenant, weight }, turn }: Waiting): Promise<Compiled> {
    try {
      const compiled = await this.#compile(task);
      requireKind('the answer of compile', compiled, compiledKind);
      const { milliseconds } = compiled;
      this.#clock.charge(tenant, weight, milliseconds);
      turn.done = Math.min(milliseconds / GUESS, 1);
      this.#turns.charge(tenant, weight, Math.max(milliseconds - GUESS, 0));
      this.#last = milliseconds;
      return compiled;
    } finally {
      this.#turns.finish(turn);
      this.#running = null;
      this.#begin();
    }
  }

  /** Finds the program of the highest priority whose turn is first. */
  #first(): Waiting | undefined {
    const [first] = [...this.#waiting].sort(
      (a, b) => rank(a.asker.priority) - rank(b.asker.priority) || a.turn.start - b.turn.start,
    );
    return first;
  }
}
