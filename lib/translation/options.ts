import { unknownName, wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { checkOptions, instanceOf, integerBetween, kinds, type OptionKinds, seedKind } from '../base/option-kinds.js';
import { Classifier } from '../guidance/classifier.js';
import { similarities, type Similarity } from './similarity.js';

/**
 * How images are translated: `egsde` (Zhao et al. 2022), `sdedit` (Meng et al. 2022), which is the same without energies, or `ilvr` (Choi et
 * al. 2021), which samples from noise and holds the low frequencies to those of the source.
 */
export type TranslationMethod = 'egsde' | 'sdedit' | 'ilvr';

/** Every {@link TranslationMethod}. */
export const translationMethods: readonly TranslationMethod[] = ['egsde', 'sdedit', 'ilvr'];

/** Given noise of a translation, instead of the seed's. */
export interface TranslationNoise {
  /** Of the sources, [repeats, N, C, H, W]; of `ilvr` what it starts from. */
  sources: Float32Array;
  /** Of the steps, of each repeat [steps, N, C, H, W]. */
  steps: readonly Float32Array[];
  /** Of `ilvr`, the references' at every step that they condition, [steps, N, C, H, W]. */
  references?: Float32Array | undefined;
}

/** Options of `translate`. */
export interface TranslateOptions {
  /** Default `egsde` where there is an extractor, else `sdedit`. */
  method?: TranslationMethod | undefined;
  /** A classifier of the two domains, or of several: what its middle block gives of an image is to leave the source's. */
  extractor?: Classifier | undefined;
  /** Weight of leaving the source's domain. Default 500 for [3, 256, 256], times the square root of the share of its elements that an image has. */
  lambdaS?: number | undefined;
  /** Weight of keeping the source's low frequencies. Default 2. */
  lambdaI?: number | undefined;
  /** What is kept: frequencies of images smaller by this factor. Default 32 for images of 256 pixels a side, smaller or larger as they are; at least 2. */
  factor?: number | undefined;
  /** How features are compared. Default `cosine`. */
  similarity?: Similarity | undefined;
  /** The share of the noise that the source gets, above 0 to 1. Default 0.5; of `ilvr`, which starts from noise alone, 1. */
  start?: number | undefined;
  /** Of `ilvr`: the share of the way, from the image on, whose steps the source does not condition, 0 to 1. Default 0: the last step alone. */
  end?: number | undefined;
  /**
   * What of the sources stays, [H, W] or [N, H, W]: 1 keeps a pixel, 0 lets it go, between them both are mixed. After every step what stays is
   * the source with as much noise as the state has. Default: all goes.
   */
  mask?: Float32Array | undefined;
  /** How often the result is noised and translated again, at most 1000. Default 1. */
  repeats?: number | undefined;
  /** Only every so many of the schedule's steps are made. Default 1. */
  stride?: number | undefined;
  /** Of the noise. Default 0. */
  seed?: number | bigint | undefined;
  /** Most images at once. Default 16. */
  batch?: number | undefined;
  /** Given noise instead of the seed's. */
  noise?: TranslationNoise | undefined;
  /** Aborts before the next evaluation. */
  signal?: AbortSignal | undefined;
  /** Steps done and in all, over all images and repeats. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** One repeat follows the other; the authors had up to three. */
const MOST_REPEATS = 1000;

const optionKinds: OptionKinds<TranslateOptions> = {
  method: kinds.string,
  extractor: instanceOf('a Classifier', Classifier),
  lambdaS: kinds.number,
  lambdaI: kinds.number,
  factor: kinds.positiveInteger,
  similarity: kinds.string,
  start: kinds.number,
  end: kinds.number,
  mask: kinds.floats,
  repeats: integerBetween(1, MOST_REPEATS),
  stride: kinds.positiveInteger,
  seed: seedKind,
  batch: kinds.positiveInteger,
  noise: kinds.object,
  signal: kinds.signal,
  onProgress: kinds.function,
};

/** Which methods take an option that not all of them take. */
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
  start: number;
  end: number;
  stride: number;
  repeats: number;
  factor: number;
  lambdaS: number;
  lambdaI: number;
}

/** What EGSDE's authors chose weights for. */
const PUBLISHED = { elements: 3 * 256 * 256, side: 256, lambdaS: 500, lambdaI: 2, factor: 32 } as const;

/**
 * The published weights for images of another size: the gradient of the features' distance is shared by fewer elements, each of which then moves as much
 * farther as their number's square root is smaller; that of the low frequencies is a difference of pixels, whatever their number.
 */
function weightsFor([channels, height, width]: readonly [number, number, number]) {
  const { elements, side, lambdaS, lambdaI, factor } = PUBLISHED;
  return {
    lambdaS: lambdaS * Math.sqrt((channels * height * width) / elements),
    lambdaI,
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
 * Options of a translation of images [C, H, W], of their kinds and within their ranges.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export function checkedOptions(
  options: TranslateOptions,
  sampleShape: readonly [channels: number, height: number, width: number],
): CheckedOptions {
  checkOptions('translate', options, optionKinds);
  const { extractor, similarity, stride = 1, repeats = 1, end = 0, mask } = options;
  const byDefault = weightsFor(sampleShape);
  const { lambdaS = byDefault.lambdaS, lambdaI = byDefault.lambdaI, factor = byDefault.factor } = options;
  const method = options.method ?? (extractor === undefined ? 'sdedit' : 'egsde');
  if (!translationMethods.includes(method)) throw unknownName('method', method, translationMethods);
  if (similarity !== undefined && !similarities.includes(similarity)) {
    throw unknownName('similarity', similarity, similarities);
  }
  refuseOptionsOfOthers(method, options);
  if (method === 'egsde' && extractor === undefined) {
    throw new DpmError('ERR_DPM_ARGUMENT', "method 'egsde' needs an extractor, a classifier of the domains");
  }
  const start = options.start ?? (method === 'ilvr' ? 1 : 0.5);
  if (!(start > 0 && start <= 1)) throw wrongValue('start', start, 'a number above 0, at most 1');
  if (!(end >= 0 && end <= 1)) throw wrongValue('end', end, 'a number from 0 to 1');
  for (const [name, value] of Object.entries({ lambdaS, lambdaI })) {
    if (!Number.isFinite(value)) throw wrongValue(name, value, 'a number');
  }
  const outside = mask?.find((value) => !(value >= 0 && value <= 1));
  if (outside !== undefined) throw wrongValue('mask', outside, 'numbers from 0 to 1');
  return { ...options, method, start, end, stride, repeats, factor, lambdaS, lambdaI };
}
