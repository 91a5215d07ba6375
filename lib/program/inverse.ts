import type { Program } from './program.js';
import type { StepRecord } from './record.js';
import { isStepByItself } from './steps.js';

/** A step that can be taken back: state' = `state` x + `out` f(`inputScale` x, `time`) for the network f. */
export interface AffineStep {
  readonly time: number;
  readonly inputScale: number;
  readonly state: number;
  readonly out: number;
}

function affineStep(record: StepRecord): AffineStep | null {
  if (!isStepByItself(record) || record.clip.kind !== 'none' || record.variance.kind !== 'none') return null;
  const { time, inputScale, prediction, store, x } = record;
  const stored = x.history[store.slot] ?? 0;
  const state = x.x + stored * (store.input + store.data * prediction.input);
  const out = x.out + stored * store.data * prediction.output;
  return Number.isFinite(1 / state) ? { time, inputScale, state, out } : null;
}

/**
 * Lists the steps of a program as what each makes of the state and one evaluation there.
 *
 * @returns Null if a step needs more: noise, past predictions, a limit, or several evaluations.
 */
export function affineSteps(program: Program): AffineStep[] | null {
  if (program.kind !== 'step') return null;
  const steps = program.records.map(affineStep);
  return steps.every((step) => step !== null) ? steps : null;
}
