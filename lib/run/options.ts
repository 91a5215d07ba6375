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

/** Format of a run's images: values in model space, or grey levels. */
export type ImageFormat = (typeof imageFormats)[number];

/** Position of a preview in its run. */
export interface PreviewPlace {
  /** Number of finished records of its samples; with an adaptive sampler, of finished evaluations. */
  record: number;
  /** Index of its first sample among all samples of the run. */
  first: number;
}

/** Options of `DiffusionModel.run`. `DiffusionModel.sample` takes them together with the sampler's own options. */
export interface RunOptions extends GuidanceOptions {
  /** Number of samples. Default: one per program of an array, else 1. */
  count?: number | undefined;
  /** Seed: an integer from 0, or a bigint below 2^64. Sample i of a seed is the same in every batch. Default 0. */
  seed?: number | bigint | undefined;
  /**
   * Index of the first sample among those of the seed: `first: 3, count: 2` are the last two of `count: 5`. An integer from 0;
   * `first + count` is at most 2^32. Default 0.
   */
  first?: number | undefined;
  /** Class label: one per sample, or one for all. */
  classLabels?: number | ArrayLike<number> | undefined;
  /** Initial states [count, C, H, W]. Default: noise. */
  init?: Float32Array | undefined;
  /** Explicit noise instead of the random streams. */
  noise?: NoiseOption | undefined;
  /** Maximum number of samples evaluated at once. Default 16. */
  batch?: number | undefined;
  /**
   * Image format. `uint8` gives grey levels, converted on the device: a quarter of the memory and of the transfer from
   * a card. Default `float32`.
   */
  format?: ImageFormat | undefined;
  /** Interval, in records, at which states are kept; 0: never. Default 0. */
  snapshotEvery?: number | undefined;
  /** Function that receives intermediate states of the samples during the run. */
  onPreview?: ((images: ImageBatch, place: PreviewPlace) => void) | undefined;
  /** Number of records between two previews. Default 1. */
  previewEvery?: number | undefined;
  /** Gradients that guide the samples, added up; see `guideForm`. */
  guides?: readonly Guide[] | undefined;
  /**
   * Target of the guides: the mean of a step by its variance (`mean`), or the score and with it every prediction
   * (`score`). Default `mean` for samplers of the reverse Markov chain, `score` for others.
   */
  guideForm?: GuideForm | undefined;
  /** Function that replaces the states after every step, e.g. to keep parts of images or frequencies. */
  constrain?: Constraint | undefined;
  /** Signal that aborts the run before its next evaluation. */
  signal?: AbortSignal | undefined;
  /** Function that receives finished and total numbers of records; of adaptive samplers, per cent of the time. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

const label = { type: 'integer', minimum: 0 };

/** Facts about each option of {@link RunOptions}. */
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
  constrain: { kind: kinds.function, help: 'replaces the states after every step' },
  signal: { kind: kinds.signal, help: 'aborts before the next evaluation' },
  onProgress: { kind: kinds.function, help: 'is told the records done and the records in all' },
} as const satisfies OptionFacts<RunOptions>;

/** Kind of each option of {@link RunOptions}. */
export const runOptionKinds: OptionKinds<RunOptions> = kindsOf<RunOptions>(runOptionFacts);

/** Defaults of {@link RunOptions}. */
export const runDefaults = standardsOf(runOptionFacts);
