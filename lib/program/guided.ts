import { DpmError } from '../base/errors.js';
import type { StepProgram } from './program.js';
import type { StepRecord } from './record.js';

/**
 * What a guide's gradient g moves: `score`, the score that the network gives, and with it every prediction (eps - sigma g); `mean`, the mean of
 * a step by the variance of its noise times g (Dhariwal & Nichol 2021, algorithms 2 and 1).
 */
export type GuideForm = 'mean' | 'score';

/** Every {@link GuideForm}. */
export const guideForms: readonly GuideForm[] = ['mean', 'score'];

/** Amplitudes of signal and noise in the state that a network sees at a time. */
export type AmplitudesAt = (networkTime: number) => { alpha: number; sigma: number };

/**
 * What a gradient at the network's input adds to its output, where a gradient at the state, which is `inputScale` times as large, moves the data
 * prediction by sigma^2 / alpha of it.
 */
function shiftOfOutput(record: StepRecord, { alpha, sigma }: { alpha: number; sigma: number }): number {
  const { output } = record.data ?? record.prediction;
  return (record.inputScale * sigma ** 2) / (alpha * output);
}

function scoreGuided(records: readonly StepRecord[], amplitudesAt: AmplitudesAt): StepRecord[] {
  let shift = 0;
  return records.map((record) => {
    // Records that evaluate nothing use the last outputs again.
    if (record.evaluate) shift = shiftOfOutput(record, amplitudesAt(record.time));
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
    if (record.variance.kind === 'none') return record;
    return { ...record, guide: { stored: 0, x: 0, xVariance: record.inputScale, y: 0 } };
  });
}

/**
 * A program whose records take a guide's gradient of ln p at the network's input.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for the form `mean` of a program that adds no noise.
 */
export function guidedProgram(program: StepProgram, form: GuideForm, amplitudesAt: AmplitudesAt): StepProgram {
  if (form === 'score') return { ...program, records: scoreGuided(program.records, amplitudesAt) };
  if (program.records.every(({ variance }) => variance.kind === 'none')) {
    throw new DpmError('ERR_DPM_ARGUMENT', "guideForm 'mean' is for samplers that add noise, this one adds none");
  }
  return { ...program, records: meanGuided(program.records) };
}
