import { requireObject, wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { kindsOf, type OptionFacts } from '../base/option-facts.js';
import {
  checkOptions,
  either,
  integerFrom,
  kinds,
  numberOrNumbers,
  requireKind,
  type OptionKinds,
  withSchema,
} from '../base/option-kinds.js';
import type { NetworkInfo } from '../engine/network.js';
import { linear, stepRecord } from '../program/builder.js';
import { packRecord } from '../program/pack.js';

/** Classifier-free guidance of a run (Ho & Salimans 2022): out = unconditional + weight (conditional - unconditional). */
export interface Guidance {
  /**
   * Weight per sample; 1: the conditional prediction alone, 0: the unconditional one. The second output is the
   * conditional one, except for a weight of 0.
   */
  weights: Float32Array;
  /** The label of the unconditional evaluation; -1: no label, the embedding's row of zeros. */
  unconditionalLabel: number;
}

/** True if a sample with this weight takes two evaluations. */
export function isGuided(weight: number): boolean {
  return weight !== 0 && weight !== 1;
}

/** Number of rows in an evaluation that a sample with this weight takes. */
export function rowsOfWeight(weight: number): 1 | 2 {
  return isGuided(weight) ? 2 : 1;
}

/** Factors of both predictions in unconditional + weight (conditional - unconditional), as float32. */
export function guidanceFactors(given: number): { conditional: number; unconditional: number } {
  const weight = Math.fround(given);
  return { conditional: weight, unconditional: Math.fround(1 - weight) };
}

/** Packs the mix of both predictions as a record: x is the conditional prediction, out the unconditional one. */
export function guidanceRecord(weight: number): Uint8Array {
  const { conditional, unconditional } = guidanceFactors(weight);
  return packRecord(stepRecord({ time: 0, x: linear({ x: conditional, out: unconditional }) }), false);
}

/** Options of classifier-free guidance. */
export interface GuidanceOptions {
  /**
   * Weight of classifier-free guidance, one for all samples or one per sample: 1, the default, is the conditional
   * prediction alone, 0 the unconditional one. Other weights evaluate the network twice per sample, in one batch.
   */
  guidance?: number | ArrayLike<number> | undefined;
  /** Label that stands for no class; null: none at all, the default of EDM networks. Default of others: the last class. */
  unconditionalLabel?: number | null | undefined;
}

/** Facts about each option of {@link GuidanceOptions}. */
export const guidanceOptionFacts = {
  guidance: {
    kind: numberOrNumbers,
    help: 'weight of classifier-free guidance, 1: the conditional prediction alone',
    standard: 1,
    value: 'W',
  },
  unconditionalLabel: {
    kind: either(withSchema(kinds.number, { type: 'integer', minimum: 0 }), kinds.null),
    help: 'class that stands for no class, or none',
    otherwise: 'the last one (EDM: none)',
    value: 'LABEL',
  },
} as const satisfies OptionFacts<GuidanceOptions>;

/**
 * Checks the guidance of `count` samples; returns null if no sample is guided.
 *
 * @param standard - Default of the label that stands for no class; null: none at all.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export function checkedGuidance(
  { guidance = guidanceOptionFacts.guidance.standard, unconditionalLabel }: GuidanceOptions,
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
  const label = unconditionalLabel === undefined ? standard : unconditionalLabel;
  if (label !== null && (!Number.isInteger(label) || label < 0 || label >= classes)) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `unconditionalLabel is ${label}, it has to be a class from 0 to ${classes - 1} or null`,
    );
  }
  return { weights, unconditionalLabel: label ?? -1 };
}

/** Options of {@link guidedRows}: those of a run that affect its classifier-free guidance. */
export interface GuidedRowsOptions extends GuidanceOptions {
  /** Number of samples. Default 1. */
  count?: number | undefined;
}

const guidedRowsKinds: OptionKinds<GuidedRowsOptions> = {
  count: kinds.positiveInteger,
  ...kindsOf<GuidanceOptions>(guidanceOptionFacts),
};

function rowsOf(guidance: Guidance | null, count: number): number {
  return guidance === null ? count : guidance.weights.reduce((sum, weight) => sum + rowsOfWeight(weight), 0);
}

/**
 * Counts the rows of every evaluation of a network in a run with classifier-free guidance: two per guided sample, one
 * per other sample. Checks the guidance without a run.
 *
 * @param network - The number of classes of the network, 0 if it takes no labels, e.g. `model.unet.info`.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option, as `model.run` does.
 */
export function guidedRows(network: Pick<NetworkInfo, 'classes'>, options: GuidedRowsOptions = {}): number {
  requireObject('the network', network);
  requireKind('classes', network.classes, integerFrom(0));
  checkOptions('guidedRows', options, guidedRowsKinds);
  const { count = 1, guidance = guidanceOptionFacts.guidance.standard } = options;
  // A single weight is not copied for every sample, as there may be any number of samples.
  if (typeof guidance === 'number') return count * rowsOf(checkedGuidance(options, network, 1), 1);
  return rowsOf(checkedGuidance(options, network, count), count);
}

/**
 * Tells whether a run with these weights of classifier-free guidance takes an `unconditionalLabel`: not if all are 1.
 *
 * @param guidance - One weight for all samples, or one per sample.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a value that is no weight.
 */
export function takesUnconditionalLabel(guidance: number | ArrayLike<number>): boolean {
  requireKind('guidance', guidance, numberOrNumbers);
  const count = typeof guidance === 'number' ? 1 : guidance.length;
  // The check needs only that the network has classes, not how many.
  return checkedGuidance({ guidance }, { classes: 1 }, count) !== null;
}
