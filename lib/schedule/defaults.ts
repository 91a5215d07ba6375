import { unknownName } from '../base/checks.js';
import { checkOptions, kinds, type OptionKinds } from '../base/option-kinds.js';
import { centredRange, requireRange, type PixelRange } from '../base/pixel-range.js';
import type { Clip } from '../program/record.js';
import { validateClip } from '../program/validate.js';

/** Meaning of the network's output. */
export type Prediction = 'epsilon' | 'x0' | 'v' | 'score' | 'edm' | 'edm-v';

export const predictionNames: readonly Prediction[] = ['epsilon', 'x0', 'v', 'score', 'edm', 'edm-v'];

/** Settings of a scheduler file, the defaults of samplers. */
export interface ScheduleDefaults {
  /** Limit of the data prediction. */
  clip: Clip;
  /** Meaning of the network's output. */
  prediction: Prediction;
  /** Variance of the DDPM sampler. */
  variance: 'beta' | 'beta-tilde' | 'learned';
  /** Standard deviation of the data, for the preconditioning of `prediction: 'edm'`. */
  sigmaData: number;
  /** Interval of the data: limits of clipping and of variances, and the scale of grey levels. [-1, 1] by default. */
  dataRange: PixelRange;
}

const plainDefaults: ScheduleDefaults = {
  clip: { kind: 'none' },
  prediction: 'epsilon',
  variance: 'beta-tilde',
  sigmaData: 0.5,
  dataRange: centredRange,
};

const defaultKinds: OptionKinds<ScheduleDefaults> = {
  clip: kinds.object,
  prediction: kinds.string,
  variance: kinds.string,
  sigmaData: kinds.number,
  dataRange: kinds.numbers,
};

function requireOneOf(name: string, value: string, known: readonly string[]): void {
  if (!known.includes(value)) throw unknownName(`${name} of a schedule's defaults`, value, known);
}

/**
 * Completes the given settings; the others are those of most networks.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if `dataRange` is no interval or a name is unknown.
 */
export function completeDefaults(given: Partial<ScheduleDefaults> | undefined): ScheduleDefaults {
  if (given !== undefined) checkOptions('the defaults of a schedule', given, defaultKinds);
  const entries: [string, unknown][] = Object.entries(given ?? {});
  const set = entries.filter(([, value]) => value !== undefined);
  const defaults: ScheduleDefaults = { ...plainDefaults, ...Object.fromEntries(set) };
  requireOneOf('prediction', defaults.prediction, predictionNames);
  requireOneOf('variance', defaults.variance, ['beta', 'beta-tilde', 'learned']);
  validateClip("a schedule's defaults", defaults.clip);
  requireRange('dataRange', defaults.dataRange);
  return defaults;
}
