import { at } from '../../base/arrays.js';
import type { HostContext, Term } from '../../program/host-context.js';
import type { Clip, StepRecord } from '../../program/record.js';
import type { Prediction } from '../../schedule/defaults.js';
import type { NoiseLevel } from '../../schedule/noise-level.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { parametrisationOf } from '../../schedule/prediction.js';

/** Prediction that a solver keeps of an evaluation: of the data or of the noise. */
export type SolverForm = 'data' | 'noise';

export interface EvaluationOptions {
  schedule: NoiseSchedule;
  prediction?: Prediction | undefined;
  clip: Clip;
}

export type EvaluationFields = Pick<StepRecord, 'time' | 'inputScale' | 'prediction' | 'data' | 'clip' | 'store'>;

/** Makes the fields of a record that evaluates the network at a noise level and keeps its prediction in `m[slot]`. */
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
  // The noise prediction without a clip is direct; through the data it would lose digits near the data.
  if (clip.kind === 'none') return { ...common, prediction: noise, data, store: { slot, input: 0, data: 1 } };
  return { ...common, prediction: data, store: { slot, input: 1 / sigma, data: -alpha / sigma } };
}

/**
 * Evaluates the network on the tensor `state` of a host program, at one noise level per sample, and leaves the noise
 * prediction that belongs to the clipped data prediction in the tensor `noise`.
 */
export async function evaluateNoise(
  context: HostContext,
  options: EvaluationOptions,
  levels: readonly NoiseLevel[],
  state: string,
  noise: string,
): Promise<void> {
  const fields = levels.map((level) => evaluation(options, level, 'noise'));
  const each = (coefficient: (field: (typeof fields)[number]) => number): Float64Array =>
    Float64Array.from(fields, coefficient);
  let input = state;
  if (fields.some(({ inputScale }) => inputScale !== 1)) {
    input = 'scaled state';
    await context.linearCombination(input, [[each(({ inputScale }) => inputScale), state]]);
  }
  await context.evaluate(
    input,
    each(({ time }) => time),
    'out',
  );
  const terms: Term[] = [
    [each(({ prediction }) => prediction.input), state],
    [each(({ prediction }) => prediction.output), 'out'],
  ];
  await context.linearCombination(noise, terms, options.clip);
  if (at(fields, 0).store.input === 0) return;
  await context.linearCombination(noise, [
    [each(({ store }) => store.input), state],
    [each(({ store }) => store.data), noise],
  ]);
}

/** Evaluates without a clip, and leaves the derivative of the noise prediction along `tangent` in `noiseTangent`. */
export async function pushNoiseForward(
  context: HostContext,
  options: Pick<EvaluationOptions, 'schedule' | 'prediction'>,
  levels: readonly NoiseLevel[],
  state: string,
  tangent: string,
  noise: string,
  noiseTangent: string,
): Promise<void> {
  const fields = levels.map((level) => evaluation({ ...options, clip: { kind: 'none' } }, level, 'noise'));
  const each = (coefficient: (field: (typeof fields)[number]) => number): Float64Array =>
    Float64Array.from(fields, coefficient);
  await context.linearCombination('scaled state', [[each(({ inputScale }) => inputScale), state]]);
  await context.linearCombination('scaled tangent', [[each(({ inputScale }) => inputScale), tangent]]);
  const times = each(({ time }) => time);
  await context.pushForward('scaled state', times, 'scaled tangent', 'out', 'out tangent');
  const mixed = (own: string, out: string): Term[] => [
    [each(({ prediction }) => prediction.input), own],
    [each(({ prediction }) => prediction.output), out],
  ];
  await context.linearCombination(noise, mixed(state, 'out'));
  await context.linearCombination(noiseTangent, mixed(tangent, 'out tangent'));
}
