import { requireObject } from '../base/checks.js';
import {
  checkOptions,
  integerFrom,
  kinds,
  numberOrNumbers,
  requireKind,
  type OptionKinds,
} from '../base/option-kinds.js';
import type { NetworkInfo } from '../engine/unet.js';
import { checkedGuidance, rowsOfWeight, type Guidance, type GuidanceOptions } from '../running/guidance.js';
import { runOptionKinds } from '../running/run-options.js';

/** Options of {@link guidedRows}: those of a run that its classifier-free guidance depends on. */
export interface GuidedRowsOptions extends GuidanceOptions {
  /** Number of samples. Default 1. */
  count?: number | undefined;
}

const guidedRowsKinds: OptionKinds<GuidedRowsOptions> = {
  count: kinds.positiveInteger,
  guidance: runOptionKinds.guidance,
  unconditionalLabel: runOptionKinds.unconditionalLabel,
};

function rowsOf(guidance: Guidance | null, count: number): number {
  return guidance === null ? count : guidance.weights.reduce((sum, weight) => sum + rowsOfWeight(weight), 0);
}

/**
 * The rows of every evaluation of a network in a run with classifier-free guidance: two of a sample that is guided, one of any other.
 * What is wrong with the guidance is known without running it.
 *
 * @param network - The network as far as it matters, e.g. `model.unet.info`: its number of classes, 0 where it takes no labels.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong, as `model.run` does.
 */
export function guidedRows(network: Pick<NetworkInfo, 'classes'>, options: GuidedRowsOptions = {}): number {
  requireObject('the network', network);
  requireKind('classes', network.classes, integerFrom(0));
  checkOptions('guidedRows', options, guidedRowsKinds);
  const { count = 1, guidance = 1 } = options;
  // One weight for all samples is not written down for each of them: there may be any number.
  if (typeof guidance === 'number') return count * rowsOf(checkedGuidance(options, network, 1), 1);
  return rowsOf(checkedGuidance(options, network, count), count);
}

/**
 * Whether a run with these weights of classifier-free guidance takes an `unconditionalLabel`: one of them is other than 1.
 *
 * @param guidance - One weight for all samples, or one per sample.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for what is no weight.
 */
export function takesUnconditionalLabel(guidance: number | ArrayLike<number>): boolean {
  requireKind('guidance', guidance, numberOrNumbers);
  const count = typeof guidance === 'number' ? 1 : guidance.length;
  // It only matters that the network has classes, not how many.
  return checkedGuidance({ guidance }, { classes: 1 }, count) !== null;
}
