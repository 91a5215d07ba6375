import { unknownName, wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { kindsOf, standardsOf, type OptionFacts } from '../base/option-facts.js';
import {
  checkOptions,
  instanceOf,
  integerBetween,
  integerFrom,
  kinds,
  nameOf,
  type OptionKinds,
  probability,
  shareAboveZero,
} from '../base/option-kinds.js';
import { Classifier } from '../guidance/classifier.js';
import { runOptionFacts } from '../run/options.js';
import { similarities, type Similarity } from './similarity.js';

/**
 * Method of translation: `egsde` (Zhao et al. 2022), `sdedit` (Meng et al. 2022), which is `egsde` without energies, or
 * `ilvr` (Choi et al. 2021), which samples from noise and holds the low frequencies to those of the source.
 */
export type TranslationMethod = 'egsde' | 'sdedit' | 'ilvr';

/** Every {@link TranslationMethod}. */
export const translationMethods: readonly TranslationMethod[] = ['egsde', 'sdedit', 'ilvr'];

/** Noise of a translation that is given instead of drawn from the seed. */
export interface TranslationNoise {
  /** Noise of the sources, [repeats, N, C, H, W]; with `ilvr` the states it starts from. */
  sources: Float32Array;
  /** Noise of the steps, for each repeat [steps, N, C, H, W]. */
  steps: readonly Float32Array[];
  /** Noise of the references at every conditioned step of `ilvr`, [steps, N, C, H, W]. */
  references?: Float32Array | undefined;
}

/** Options of `translate`. */
export interface TranslateOptions {
  /** Method. Default `egsde` if there is an extractor, else `sdedit`. */
  method?: TranslationMethod | undefined;
  /** Classifier of the two domains, or of several; the image's features in its middle block are to leave the source's. */
  extractor?: Classifier | undefined;
  /** Weight of leaving the source's domain. Default 500 for [3, 256, 256], times the square root of the image's share of its number of elements. */
  lambdaS?: number | undefined;
  /** Weight of keeping the source's low frequencies. Default 2. */
  lambdaI?: number | undefined;
  /**
   * Factor by which images are made smaller to get the kept frequencies; at least 2. Default 32 per 256 pixels a side.
   */
  factor?: number | undefined;
  /** Measure of similarity of features. Default `cosine`. */
  similarity?: Similarity | undefined;
  /** Share of the noise that the source gets, above 0 to 1. Default 0.5; 1 with `ilvr`, which starts from noise alone. */
  start?: number | undefined;
  /** Share of the steps at the end that the source does not condition, 0 to 1, with `ilvr`. Default 0: only the last. */
  end?: number | undefined;
  /**
   * Mask of the sources, [H, W] or [N, H, W]: 1 keeps a pixel, 0 lets it change, values between mix both. After every
   * step kept pixels are those of the source with as much noise as the state. Default: 0 everywhere.
   */
  mask?: Float32Array | undefined;
  /** Number of times that the result is noised and translated again, at most 1000. Default 1. */
  repeats?: number | undefined;
  /** Interval of the used steps among the schedule's. Default 1. */
  stride?: number | undefined;
  /** Seed of the noise. Default 0. */
  seed?: number | bigint | undefined;
  /** Maximum number of images at once. Default 16. */
  batch?: number | undefined;
  /** Noise instead of the seed's. */
  noise?: TranslationNoise | undefined;
  /** Signal that aborts before the next evaluation. */
  signal?: AbortSignal | undefined;
  /** Function that receives the finished and the total number of steps, over all images and repeats. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Maximum number of repeats, which run one after another; the authors had up to three. */
const MOST_REPEATS = 1000;

/** Size and weights for which EGSDE's authors published results. */
const PUBLISHED = { elements: 3 * 256 * 256, side: 256, lambdaS: 500, lambdaI: 2, factor: 32 } as const;

/** Share of the noise that a source gets: with `ilvr`, which starts from noise alone, and with other methods. */
const STARTS = { ilvr: 1, others: 0.5 } as const;

/** Facts about each option of {@link TranslateOptions}. */
export const translateOptionFacts = {
  method: {
    kind: nameOf(translationMethods),
    help: translationMethods.join(', '),
    otherwise: 'egsde with an extractor, else sdedit',
    value: 'NAME',
  },
  extractor: {
    kind: instanceOf('a Classifier', Classifier),
    help: 'classifier of the domains, whose middle block compares images (EGSDE)',
    value: 'PATH',
  },
  lambdaS: {
    kind: kinds.finite,
    help: "weight of leaving the source's domain",
    otherwise: `by size, ${PUBLISHED.lambdaS} for 256 x 256 RGB`,
    value: 'W',
  },
  lambdaI: {
    kind: kinds.finite,
    help: "weight of keeping the source's low frequencies",
    standard: PUBLISHED.lambdaI,
    value: 'W',
  },
  factor: {
    kind: integerFrom(2),
    help: 'what is kept: frequencies of images smaller by this',
    otherwise: 'an eighth of the side',
    value: 'N',
  },
  similarity: {
    kind: nameOf(similarities),
    help: `how features are compared: ${similarities.join(' or ')}`,
    standard: 'cosine',
    value: 'NAME',
  },
  start: {
    kind: shareAboveZero,
    help: 'share of the noise that the source gets, above 0 to 1',
    otherwise: `${STARTS.others}, of ilvr ${STARTS.ilvr}`,
    value: 'SHARE',
  },
  end: {
    kind: probability,
    help: 'share of the way whose steps the source does not condition (ilvr)',
    standard: 0,
    value: 'SHARE',
  },
  mask: { kind: kinds.floats, help: 'what is kept of the source: 1 stays, 0 goes', otherwise: '0', value: 'FILE' },
  repeats: {
    kind: integerBetween(1, MOST_REPEATS),
    help: 'how often the result is noised and translated again',
    standard: 1,
    value: 'K',
  },
  stride: {
    kind: kinds.positiveInteger,
    help: "every so many of the schedule's steps are made",
    standard: 1,
    value: 'N',
  },
  seed: { ...runOptionFacts.seed, help: 'seed of the noise' },
  batch: { ...runOptionFacts.batch, help: 'most images at once' },
  noise: { kind: kinds.object, help: 'noise of the sources and of the steps', otherwise: 'that of the seed' },
  signal: runOptionFacts.signal,
  onProgress: { kind: kinds.function, help: 'is told the steps done and the steps in all' },
} as const satisfies OptionFacts<TranslateOptions>;

const optionKinds: OptionKinds<TranslateOptions> = kindsOf<TranslateOptions>(translateOptionFacts);
const defaults = standardsOf(translateOptionFacts);

/** Methods that take an option, if not all of them do. */
const methodsOf = {
  extractor: ['egsde'],
  lambdaS: ['egsde'],
  lambdaI: ['egsde'],
  similarity: ['egsde'],
  factor: ['egsde', 'ilvr'],
  end: ['ilvr'],
  mask: ['egsde', 'sdedit'],
  repeats: ['egsde', 'sdedit'],
} as const satisfies Partial<Record<keyof TranslateOptions, readonly TranslationMethod[]>>;

/** Options of a translation, complete as far as they depend on nothing else. */
export interface CheckedOptions extends TranslateOptions {
  method: TranslationMethod;
  similarity: Similarity;
  start: number;
  end: number;
  stride: number;
  repeats: number;
  seed: number | bigint;
  batch: number;
  factor: number;
  lambdaS: number;
  lambdaI: number;
}

/**
 * Scales the published weights to images of another size. The gradient of the features' distance is shared by fewer
 * elements, each of which moves farther, by the inverse square root of their number; that of the low frequencies is a
 * difference of pixels, whatever their number.
 */
function weightsFor([channels, height, width]: readonly [number, number, number]) {
  const { elements, side, lambdaS, factor } = PUBLISHED;
  return {
    lambdaS: lambdaS * Math.sqrt((channels * height * width) / elements),
    factor: Math.max(2, Math.round((factor * Math.min(height, width)) / side)),
  };
}

function refuseOptionsOfOthers(method: TranslationMethod, options: TranslateOptions): void {
  for (const [name, methods] of Object.entries(methodsOf)) {
    if (options[name as keyof typeof methodsOf] === undefined) continue;
    if (methods.some((each) => each === method)) continue;
    const theirs = methods.map((each) => `'${each}'`).join(' and ');
    throw new DpmError('ERR_DPM_ARGUMENT', `${name} is for method ${theirs}, not '${method}'`);
  }
}

/**
 * Checks the options of a translation of images [C, H, W], their kinds and their ranges.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export function checkedOptions(
  options: TranslateOptions,
  sampleShape: readonly [channels: number, height: number, width: number],
): CheckedOptions {
  checkOptions('translate', options, optionKinds);
  const { extractor, similarity = defaults.similarity, stride = defaults.stride, repeats = defaults.repeats } = options;
  const { seed = defaults.seed, batch = defaults.batch, end = defaults.end, mask } = options;
  const scaled = weightsFor(sampleShape);
  const { lambdaS = scaled.lambdaS, lambdaI = defaults.lambdaI, factor = scaled.factor } = options;
  const method = options.method ?? (extractor === undefined ? 'sdedit' : 'egsde');
  if (!translationMethods.includes(method)) throw unknownName('method', method, translationMethods);
  if (!similarities.includes(similarity)) throw unknownName('similarity', similarity, similarities);
  refuseOptionsOfOthers(method, options);
  if (method === 'egsde' && extractor === undefined) {
    throw new DpmError('ERR_DPM_ARGUMENT', "method 'egsde' needs an extractor, a classifier of the domains");
  }
  const start = options.start ?? (method === 'ilvr' ? STARTS.ilvr : STARTS.others);
  const outside = mask?.find((value) => !(value >= 0 && value <= 1));
  if (outside !== undefined) throw wrongValue('mask', outside, 'numbers from 0 to 1');
  return { ...options, method, similarity, start, end, stride, repeats, seed, batch, factor, lambdaS, lambdaI };
}
