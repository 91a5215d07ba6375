import type { BatchCounts } from '../engine/binding.js';
import type { Pace } from './pace.js';

/** Milliseconds of steps in which most of what was before is forgotten. */
const MEMORY = 2000;
/** Milliseconds without work in which most of what was seen is no longer believed. */
const REST = 10_000;
/** Bounds of what is believed, as a step may have met a machine that slept. */
const [LEAST, MOST] = [1 / 16, 256];

const remaining = (milliseconds: number, scale: number): number => Math.exp(-Math.max(0, milliseconds) / scale);

/**
 * Time that steps take now, over that which was measured when their batch was opened: an average over the last seconds of
 * steps, which goes back to 1 while there is nothing to do.
 */
export class Slowdown {
  #factor = 1;
  readonly #seen = new WeakMap<Pace, Pick<BatchCounts, 'steps' | 'rows' | 'seconds'>>();

  /** Computes the factor after so many milliseconds without work. */
  after(rest: number): number {
    return 1 + (this.#factor - 1) * remaining(rest, REST);
  }

  /** Takes in that there was no work for so many milliseconds. */
  rested(rest: number): void {
    this.#factor = this.after(rest);
  }

  /** Takes in the counts of a batch, which grow. */
  observe(pace: Pace, { steps, rows, seconds }: BatchCounts): void {
    const last = this.#seen.get(pace) ?? { steps: 0, rows: 0, seconds: 0 };
    const made = steps - last.steps;
    const took = 1000 * (seconds - last.seconds);
    const expected = made > 0 ? made * pace.stepTime((rows - last.rows) / made) : 0;
    if (!(expected > 0 && took > 0)) return;
    this.#seen.set(pace, { steps, rows, seconds });
    const factor = Math.min(MOST, Math.max(LEAST, took / expected));
    this.#factor = factor + (this.#factor - factor) * remaining(took, MEMORY);
  }
}
