import { DpmError } from '../base/errors.js';
import type { StepProgram } from '../program/program.js';
import type { StepRecord } from '../program/record.js';
import { hasVarianceForGuide } from '../program/validate.js';

/**
 * Target of a guide's gradient g: `score`, the score that the network gives, and with it every prediction (eps - sigma
 * g); `mean`, the mean of a step by the variance of its noise times g (Dhariwal & Nichol 2021, algorithms 2 and 1).
 */
export type GuideForm = 'mean' | 'score';

/** Every {@link GuideForm}. */
export const guideForms: readonly GuideForm[] = ['mean', 'score'];

/**
 * Function that computes the change of the network's output per unit of a gradient at the state, for a network's time
 * and a meaning of the output.
 */
export type OutputShift = (networkTime: number, prediction: string | undefined) => number;

function scoreGuided({ records, prediction: predicts }: StepProgram, outputShift: OutputShift): StepRecord[] {
  let shift = 0;
  return records.map((record) => {
    // Records without evaluation reuse the last outputs. A gradient at the network's input is one at the state over
    // `inputScale`.
    if (record.evaluate) shift = record.inputScale * outputShift(record.time, predicts);
    const { prediction, store, x, y } = record;
    const guide = {
      stored: store.data * prediction.output * shift,
      x: (x?.out ?? 0) * shift,
      xVariance: 0,
      y: (y?.out ?? 0) * shift,
    };
    return { ...record, guide };
  });
}

function meanGuided(records: readonly StepRecord[]): StepRecord[] {
  return records.map((record) => {
    if (!hasVarianceForGuide(record)) return record;
    return { ...record, guide: { stored: 0, x: 0, xVariance: record.inputScale, y: 0 } };
  });
}

/**
 * Makes a program whose records apply a guide's gradient of ln p at the network's input.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for the form `mean` and a program that adds no noise.
 */
export function guidedProgram(program: StepProgram, form: GuideForm, outputShift: OutputShift): StepProgram {
  if (form === 'score') return { ...program, records: scoreGuided(program, outputShift) };
  if (!program.records.some(hasVarianceForGuide)) {
    throw new DpmError('ERR_DPM_ARGUMENT', "guideForm 'mean' is for samplers that add noise, this one adds none");
  }
  return { ...program, records: meanGuided(program.records) };
}
