import type { LinearUpdate, StepRecord } from './record.js';

/** A record that takes the run from one state to the next by one evaluation there. */
export type WholeStep = StepRecord & { readonly x: LinearUpdate };

/** Tells whether a record is a step from one state of the run to the next by one evaluation. */
export function isWholeStep(record: StepRecord): record is WholeStep {
  const { evaluate, read, x, y } = record;
  return evaluate && read === 'x' && x !== null && y === null;
}

/** Tells whether a record is such a step, and needs nothing of those before it but the state. */
export function isStepByItself(record: StepRecord): record is WholeStep {
  if (!isWholeStep(record) || record.x.y !== 0) return false;
  return record.x.history.every((weight, slot) => weight === 0 || slot === record.store.slot);
}
