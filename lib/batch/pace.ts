import { bestRate, stepTime, type Curve } from './calibrate.js';
import type { SampleWork } from './clock.js';

/** What a sample needs from the batch. */
export interface SampleDemand {
  readonly evaluations: number;
  /** Rows of each evaluation. */
  readonly rows: number;
  /** Milliseconds of the device beside its evaluations, if it takes any. */
  readonly beside?: number;
}

/** Time that the steps of a batch took when it was opened. */
export class Pace {
  /** Number of rows per millisecond of the full batch. */
  readonly rate: number;

  /** @param rows - Number of rows of a full step. */
  constructor(
    readonly curve: Curve,
    readonly rows: number,
  ) {
    this.rate = bestRate(curve.filter((point) => point.rows <= rows));
  }

  /** Computes the milliseconds of a step, of a full one at most. */
  stepTime(rows: number): number {
    return stepTime(this.curve, Math.min(rows, this.rows));
  }

  /** Computes the work of a sample. */
  workOf({ evaluations, rows, beside = 0 }: SampleDemand): SampleWork {
    const seen = evaluations * rows;
    return { work: seen / this.rate + beside, run: seen * this.stepTime(this.rows) + beside };
  }
}
