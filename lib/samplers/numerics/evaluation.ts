import type { Clip, StepRecord } from '../../program/record.js';
import type { Prediction } from '../../schedule/defaults.js';
import type { NoiseLevel } from '../../schedule/noise-level.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { parametrisationOf } from '../../schedule/prediction.js';

/** What a solver keeps of an evaluation: the data or the noise prediction. */
export type SolverForm = 'data' | 'noise';

export interface EvaluationOptions {
  schedule: NoiseSchedule;
  prediction?: Prediction | undefined;
  clip: Clip;
}

export type EvaluationFields = Pick<StepRecord, 'time' | 'inputScale' | 'prediction' | 'data' | 'clip' | 'store'>;

/** The fields of a record that evaluates the network at a noise level and keeps its prediction in `m[slot]`. */
export function evaluation(
  { schedule, prediction, clip }: EvaluationOptions,
  { networkTime, alpha, sigma }: NoiseLevel,
  form: SolverForm,
  slot = 0,
): EvaluationFields {
  const options = prediction === undefined ? {} : { prediction };
  const { data, noise, inputScale } = parametrisationOf(schedule, options, alpha, sigma);
  const common = { time: networkTime, inputScale, clip };
  if (form === 'data') return { ...common, prediction: data, store: { slot, input: 0, data: 1 } };
  // Without a clip the noise prediction needs no detour over the data, which would cost digits near it.
  if (clip.kind === 'none') return { ...common, prediction: noise, data, store: { slot, input: 0, data: 1 } };
  return { ...common, prediction: data, store: { slot, input: 1 / sigma, data: -alpha / sigma } };
}
