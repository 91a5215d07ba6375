import type { ImageBatch } from '../images/image-batch.js';
import {
  arrayOf,
  either,
  integerFrom,
  kinds,
  numberOrNumbers,
  type OptionKinds,
  seedKind,
} from '../base/option-kinds.js';
import type { GuideForm } from '../guidance/guided-program.js';
import { guidanceOptionKinds, type GuidanceOptions } from '../guidance/classifier-free.js';
import type { Constraint, Guide } from '../guidance/guide.js';
import type { NoiseOption } from './noise-source.js';

/** Every {@link ImageFormat}. */
export const imageFormats = ['float32', 'uint8'] as const;

/** What images of a run come as: values in model space, or grey levels. */
export type ImageFormat = (typeof imageFormats)[number];

/** Where a preview stands. */
export interface PreviewPlace {
  /** How many records, or evaluations of an adaptive sampler, its samples have behind them. */
  record: number;
  /** The first of its samples among all of the run. */
  first: number;
}

/** Options of `DiffusionModel.run`, and those of `DiffusionModel.sample` beside the sampler's own. */
export interface RunOptions extends GuidanceOptions {
  /** Number of samples; by default one per program of an array, else 1. */
  count?: number | undefined;
  /** An integer from 0, or a bigint below 2^64. Sample i of a seed is the same in every batch. Default 0. */
  seed?: number | bigint | undefined;
  /**
   * Index of the first sample among those of the seed: `first: 3, count: 2` are the last two of `count: 5`. An integer from 0;
   * `first + count` is at most 2^32. Default 0.
   */
  first?: number | undefined;
  /** One label per sample, or one for all. */
  classLabels?: number | ArrayLike<number> | undefined;
  /** Initial states [count, C, H, W]; by default noise. */
  init?: Float32Array | undefined;
  /** Explicit noise instead of the random streams. */
  noise?: NoiseOption | undefined;
  /** Most samples evaluated at once. Default 16. */
  batch?: number | undefined;
  /**
   * `uint8` brings images as grey levels, converted on the device: a quarter of the memory and of the way back from a
   * card. Default `float32`.
   */
  format?: ImageFormat | undefined;
  /** Keep the state after every k-th record; 0: never. Default 0. */
  snapshotEvery?: number | undefined;
  /** Is given the states of the samples that are being made, while they are. */
  onPreview?: ((images: ImageBatch, place: PreviewPlace) => void) | undefined;
  /** Records between two previews. Default 1. */
  previewEvery?: number | undefined;
  /** Gradients that guide the samples, added up; see `guideForm`. */
  guides?: readonly Guide[] | undefined;
  /**
   * What the guides move: the mean of a step by its variance (`mean`), or the score and with it every prediction (`score`). Default `mean`
   * for samplers of the reverse Markov chain, `score` for others.
   */
  guideForm?: GuideForm | undefined;
  /** Replaces the states after every record: what holds parts of images, or frequencies, to those of others. */
  constrain?: Constraint | undefined;
  /** Aborts the run before its next evaluation. */
  signal?: AbortSignal | undefined;
  /** Records done and records in all, over all samples; of adaptive samplers per cent of the way through time. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What {@link RunOptions} may be. */
export const runOptionKinds: OptionKinds<RunOptions> = {
  count: kinds.number,
  seed: seedKind,
  first: integerFrom(0),
  classLabels: numberOrNumbers,
  ...guidanceOptionKinds,
  init: kinds.floats,
  noise: either(kinds.floats, arrayOf('an array of such', kinds.floats)),
  batch: kinds.number,
  format: kinds.string,
  snapshotEvery: kinds.number,
  onPreview: kinds.function,
  previewEvery: kinds.positiveInteger,
  guides: arrayOf('an array of functions', kinds.function),
  guideForm: kinds.string,
  constrain: kinds.function,
  signal: kinds.signal,
  onProgress: kinds.function,
};
