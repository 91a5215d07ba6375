import { kindsOf, standardsOf, type OptionFacts } from '../base/option-facts.js';
import type { ImageBatch } from '../images/image-batch.js';
import {
  arrayOf,
  either,
  integerFrom,
  kinds,
  nameOf,
  numberOrNumbers,
  type OptionKinds,
  seedKind,
  withSchema,
} from '../base/option-kinds.js';
import { guideForms, type GuideForm } from '../guidance/guided-program.js';
import { guidanceOptionFacts, type GuidanceOptions } from '../guidance/classifier-free.js';
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

const label = { type: 'integer', minimum: 0 };

/** The facts of {@link RunOptions}. */
export const runOptionFacts = {
  count: { kind: kinds.positiveInteger, help: 'number of samples', standard: 1, value: 'N' },
  seed: { kind: seedKind, help: 'seed of the random streams, from 0 to 2^64 - 1', standard: 0, value: 'INT' },
  first: {
    kind: integerFrom(0),
    help: 'index of the first sample among those of the seed: count 4 is four requests of 1',
    standard: 0,
    value: 'INT',
  },
  classLabels: {
    kind: withSchema(numberOrNumbers, { anyOf: [label, { type: 'array', items: label }] }),
    help: 'class of all samples, for a class-conditional network',
    value: 'LABEL',
  },
  ...guidanceOptionFacts,
  init: { kind: kinds.floats, help: 'the initial states [N,C,H,W]', otherwise: 'noise', value: 'FILE' },
  noise: {
    kind: either(kinds.floats, arrayOf('an array of such', kinds.floats)),
    help: 'the noise of each noisy record [R,N,C,H,W]',
    otherwise: 'the random streams',
    value: 'FILE',
  },
  batch: { kind: kinds.positiveInteger, help: 'most samples evaluated at once', standard: 16, value: 'N' },
  format: { kind: nameOf(imageFormats), help: 'values in model space, or grey levels', standard: 'float32' },
  snapshotEvery: {
    kind: integerFrom(0),
    help: 'keeps the state after every K-th record, 0: never',
    standard: 0,
    value: 'K',
  },
  onPreview: { kind: kinds.function, help: 'is given the states of samples that are being made' },
  previewEvery: { kind: kinds.positiveInteger, help: 'records between two previews', standard: 1, value: 'K' },
  guides: { kind: arrayOf('an array of functions', kinds.function), help: 'gradients that guide the samples' },
  guideForm: {
    kind: nameOf(guideForms),
    help: 'what guides move: the mean of a step, or the score',
    otherwise: 'mean for samplers of the reverse Markov chain, score for others',
    value: 'NAME',
  },
  constrain: { kind: kinds.function, help: 'replaces the states after every record' },
  signal: { kind: kinds.signal, help: 'aborts before the next evaluation' },
  onProgress: { kind: kinds.function, help: 'is told the records done and the records in all' },
} as const satisfies OptionFacts<RunOptions>;

/** What {@link RunOptions} may be. */
export const runOptionKinds: OptionKinds<RunOptions> = kindsOf<RunOptions>(runOptionFacts);

/** The defaults of {@link RunOptions}. */
export const runDefaults = standardsOf(runOptionFacts);
