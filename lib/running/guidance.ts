import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import type { NetworkInfo } from '../engine/unet.js';
import { linear, stepRecord } from '../program/builder.js';
import { packRecord } from '../program/pack.js';

/** Classifier-free guidance of a run (Ho & Salimans 2022): out = unconditional + weight (conditional - unconditional). */
export interface Guidance {
  /** One weight per sample; 1: the conditional prediction alone, 0: the unconditional one. The second output is that of the
   * conditional evaluation, but for a weight of 0. */
  weights: Float32Array;
  /** The label of the unconditional evaluation; -1: no label, the embedding's row of zeros. */
  unconditionalLabel: number;
}

/** Whether a sample with this weight takes two evaluations. */
export function isGuided(weight: number): boolean {
  return weight !== 0 && weight !== 1;
}

/** The rows of an evaluation that a sample with this weight takes. */
export function rowsOfWeight(weight: number): 1 | 2 {
  return isGuided(weight) ? 2 : 1;
}

/** unconditional + weight (conditional - unconditional) as a packed record: x is the conditional prediction, out the unconditional one. */
export function guidanceRecord(weight: number): Uint8Array {
  return packRecord(stepRecord({ time: 0, x: linear({ x: weight, out: 1 - weight }) }), false);
}

/** Options of classifier-free guidance. */
export interface GuidanceOptions {
  /**
   * Weight of classifier-free guidance, one for all samples or one per sample: 1, the default, is the conditional
   * prediction alone, 0 the unconditional one. Other weights evaluate the network twice per sample, in one batch.
   */
  guidance?: number | ArrayLike<number> | undefined;
  /** The label that stands for no class; null: none at all, the default of EDM networks. Default of others: the last class. */
  unconditionalLabel?: number | null | undefined;
}

/**
 * The checked guidance of `count` samples; null where no sample has any.
 *
 * @param standard - The label that stands for no class where none is given; null: none at all.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export function checkedGuidance(
  { guidance = 1, unconditionalLabel }: GuidanceOptions,
  { classes }: Pick<NetworkInfo, 'classes'>,
  count: number,
  standard: number | null = classes - 1,
): Guidance | null {
  if (typeof guidance !== 'number' && guidance.length !== count) {
    throw new DpmError('ERR_DPM_ARGUMENT', `guidance has ${guidance.length} weights for ${count} samples`);
  }
  const given: readonly unknown[] = typeof guidance === 'number' ? [guidance] : Array.from(guidance);
  const bad = given.findIndex((weight) => typeof weight !== 'number' || !Number.isFinite(Math.fround(weight)));
  if (bad >= 0) throw wrongValue('a weight of guidance', given[bad], 'a number');
  const weights = typeof guidance === 'number' ? new Float32Array(count).fill(guidance) : Float32Array.from(guidance);
  if (weights.every((weight) => weight === 1)) {
    if (unconditionalLabel !== undefined) {
      throw new DpmError('ERR_DPM_ARGUMENT', 'unconditionalLabel is for guidance other than 1');
    }
    return null;
  }
  if (classes === 0) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'guidance needs a class-conditional network, which this one is not');
  }
  const label = (unconditionalLabel === undefined ? standard : unconditionalLabel) ?? -1;
  if (!Number.isInteger(label) || label < -1 || label >= classes) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `unconditionalLabel is ${label}, it has to be a class from 0 to ${classes - 1} or null`,
    );
  }
  return { weights, unconditionalLabel: label };
}
