import type { Clip, StepRecord } from '../../program/record.js';
import type { Prediction } from '../../schedule/defaults.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { parametrisationOf } from '../../schedule/prediction.js';

/** A time of a continuous schedule, with the state's signal and noise there. */
export interface NoiseLevel {
  time: number;
  /** sqrt(A), sqrt(B). */
  alpha: number;
  sigma: number;
  /** ln(alpha / sigma). */
  logSnr: number;
}

export function noiseLevel(schedule: NoiseSchedule, time: number): NoiseLevel {
  return {
    time,
    alpha: Math.sqrt(schedule.alphaBar(time)),
    sigma: Math.sqrt(schedule.betaBar(time)),
    logSnr: schedule.logSnr(time),
  };
}

/** What a solver keeps of an evaluation: the data or the noise prediction. */
export type SolverForm = 'data' | 'noise';

export interface EvaluationOptions {
  schedule: NoiseSchedule;
  prediction?: Prediction | undefined;
  clip: Clip;
}

export type EvaluationFields = Pick<StepRecord, 'time' | 'inputScale' | 'prediction' | 'clip' | 'store'>;

/** The fields of a record that evaluates the network at a noise level and keeps its prediction in `m[slot]`. */
export function evaluation(
  { schedule, prediction, clip }: EvaluationOptions,
  { time, alpha, sigma }: NoiseLevel,
  form: SolverForm,
  slot = 0,
): EvaluationFields {
  const options = prediction === undefined ? {} : { prediction };
  const { data, noise, inputScale } = parametrisationOf(schedule, options, alpha, sigma);
  const common = { time: schedule.networkTime(time), inputScale, clip };
  if (form === 'data') return { ...common, prediction: data, store: { slot, input: 0, data: 1 } };
  // Without a clip the noise prediction needs no detour over the data, which would cost digits near it.
  if (clip.kind === 'none') return { ...common, prediction: noise, store: { slot, input: 0, data: 1 } };
  return { ...common, prediction: data, store: { slot, input: 1 / sigma, data: -alpha / sigma } };
}
