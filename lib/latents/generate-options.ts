import { unknownName, wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { requireMemory } from '../base/memory-budget.js';
import { kindsOf, standardsOf, type OptionFacts } from '../base/option-facts.js';
import {
  arrayOf,
  either,
  isList,
  type Kind,
  kinds,
  nameOf,
  numberOrNumbers,
  type OptionKinds,
  seedKind,
  shareAboveZero,
  withSchema,
} from '../base/option-kinds.js';
import { elementCount } from '../base/arrays.js';
import { centredRange, unitRange } from '../base/pixel-range.js';
import { givenImages, valuesOf, type GivenImages } from '../images/given-images.js';
import { ImageBatch } from '../images/image-batch.js';
import { requireFinite } from '../run/finite.js';
import { flattenNoise, type NoiseOption } from '../run/noise-source.js';
import { runOptionFacts, type PreviewPlace } from '../run/options.js';
import { requirePreviews } from '../run/resolve.js';
import { samplerNames, type SamplerName } from '../samplers/index.js';
import { tableKind, type GammaTable } from '../variance/gamma.js';
import { LARGEST_SIDE } from './autoencoder.js';

/** What becomes of a text of more tokens than the encoder reads at once. */
export type LongPrompts = 'truncate' | 'chunks';

/** Options of {@link TextToImage.generate} and {@link TextToImage.stream}. */
export interface GenerateOptions {
  /** Text of all images, or one each. */
  prompt: string | readonly string[];
  /** Text that guidance leads away from, for all images or one each. Default: none. */
  negativePrompt?: string | readonly string[] | undefined;
  /**
   * `truncate`: tokens of a text that the encoder does not read at once are left out, and the result says so. `chunks`: such a
   * text is encoded in parts, whose states lie side by side; the shorter of prompt and negative prompt is filled up with the
   * empty text. Default `truncate`, as in diffusers.
   */
  longPrompts?: LongPrompts | undefined;
  /** Number of images. Default: one for each prompt. */
  count?: number | undefined;
  /** Number of steps, `num_inference_steps` of the scheduler's class. Default: that of the pipeline's `generation_config.json`, else of its class. */
  steps?: number | undefined;
  /** Sampler of `steps` evaluations. Default `scheduler`: that of the pipeline's file. */
  sampler?: SamplerName | undefined;
  /** Second moments of the U-Net's predictions, for the analytic samplers. Default: the table of the pipeline's `gamma.json`. */
  gamma?: GammaTable | ArrayLike<number> | undefined;
  /**
   * Weight of the prompt against the negative prompt, as in diffusers: 1 and less is the prompt alone. One for all images or
   * one each. Default: that of the pipeline's `generation_config.json`, else of its class.
   */
  guidance?: number | ArrayLike<number> | undefined;
  /**
   * Pictures that the images begin with, one for all or one each, in place of noise alone (image to image): a batch of pictures, or
   * latents as the diffusion knows them, [1 or N, C, h, w]. The last `floor(steps strength)` steps are then taken, as in diffusers.
   */
  image?: GivenImages | undefined;
  /** Share of the steps that pictures of `image` go through, above 0 to 1: how much of them may change. Default 0.8. */
  strength?: number | undefined;
  /**
   * Part of the pictures of `image` that is drawn anew, one for all or one each: a batch of pictures of grey levels, white there, or
   * values [1 or N, H, W] in pixels, above 0.5 there. The rest stays the picture's. With a mask `strength` is 1 by default.
   */
  mask?: GivenImages | undefined;
  /** Height of the images in pixels. Default: that of `image`, else of the network. */
  height?: number | undefined;
  /** Width of the images in pixels. Default: that of `image`, else of the network. */
  width?: number | undefined;
  /** Seed of the random streams, of which image k is sample `first` + k; or one each, of which each image is sample `first`. Default 0. */
  seed?: number | bigint | readonly (number | bigint)[] | undefined;
  /** Index of the first sample among those of the seed. Default 0. */
  first?: number | undefined;
  /** Number of last layers of the text encoder that are not used. Default 0. */
  skippedLayers?: number | undefined;
  /** Numbers that a network with pooled states sees, (height, width, top, left, height, width). Default: those of the images. */
  sizes?: readonly number[] | undefined;
  /** Unit noise that the run begins with, [N, C, h, w]. Default: of the seed. */
  init?: Float32Array | undefined;
  /** Explicit noise of the steps. Default: of the seed. */
  noise?: NoiseOption | undefined;
  /** Most images whose states are evaluated at once; results do not depend on it. Default 4. */
  batch?: number | undefined;
  /** `latents`: no image is decoded. Default `images`. */
  output?: 'images' | 'latents' | undefined;
  /**
   * Side of the decoder's tiles in latents, see {@link Autoencoder.decode}. Default: the whole, unless that takes more than a
   * quarter of the memory there is; `tile` of the result says so.
   */
  tile?: number | undefined;
  /**
   * Function that receives images of unfinished states, decoded by the small autoencoder that the pipeline was loaded with as
   * `preview`, or by its own if that is small.
   */
  onPreview?: ((images: ImageBatch, place: PreviewPlace) => void) | undefined;
  /** Number of steps between two previews. Default 1. */
  previewEvery?: number | undefined;
  /** Signal that aborts before the next evaluation. */
  signal?: AbortSignal | undefined;
  /** Function that receives the number of finished steps and of all steps, of all images. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

const outputs = ['images', 'latents'] as const;
/** Every {@link LongPrompts}. @internal */
export const longPrompts: readonly LongPrompts[] = ['truncate', 'chunks'];

/** Kind of `prompt` and `negativePrompt`. @internal */
export const texts: Kind = {
  expected: 'a text, or a list of texts',
  schema: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' }, minItems: 1 }] },
  holds: (value: unknown) =>
    typeof value === 'string' || (isList(value) && value.length > 0 && value.every((each) => typeof each === 'string')),
};

const { first, noise, previewEvery, signal } = runOptionFacts;
const ofClass = 'that of its generation_config.json, else of its class';
const ofNetwork = 'that of the network';

/** Facts about each option of {@link GenerateOptions}. @internal */
export const generateOptionFacts = {
  prompt: { kind: texts, help: 'text of all images, or one each' },
  negativePrompt: { kind: texts, help: 'text that guidance leads away from', otherwise: 'none', value: 'TEXT' },
  longPrompts: {
    kind: nameOf(longPrompts),
    help: 'texts of more tokens than the encoder reads at once: truncate, or chunks, which are encoded in parts',
    standard: 'truncate',
    value: 'HOW',
  },
  count: { kind: kinds.positiveInteger, help: 'number of images', otherwise: 'one for each prompt', value: 'N' },
  steps: {
    kind: kinds.positiveInteger,
    help: "number of steps, as the scheduler's class counts them",
    otherwise: ofClass,
    value: 'N',
  },
  sampler: {
    kind: nameOf(samplerNames),
    help: "name of the sampler; scheduler: that of the pipeline's file",
    standard: 'scheduler',
    value: 'NAME',
  },
  gamma: {
    kind: tableKind,
    help: "second moments of the U-Net's predictions, for the analytic samplers",
    otherwise: "the pipeline's gamma.json",
  },
  guidance: {
    kind: numberOrNumbers,
    help: 'weight of the prompt against the negative one, 1 and less: the prompt alone',
    otherwise: ofClass,
    value: 'W',
  },
  image: {
    kind: givenImages,
    help: 'pictures to begin with, one for all images or one each, whose size is that of the images; or their latents',
    otherwise: 'noise alone',
    value: 'FILE',
  },
  strength: {
    kind: shareAboveZero,
    help: 'share of the steps that pictures to begin with go through: how much of them may change',
    standard: 0.8,
    value: 'S',
  },
  mask: {
    kind: givenImages,
    help: 'part of the pictures to begin with that is drawn anew: white in grey levels; with it strength is 1 if nothing is said',
    otherwise: 'all of it',
    value: 'FILE',
  },
  height: { kind: kinds.positiveInteger, help: 'height of the images in pixels', otherwise: ofNetwork },
  width: { kind: kinds.positiveInteger, help: 'width of the images in pixels', otherwise: ofNetwork },
  seed: {
    kind: either(seedKind, arrayOf('a list of such', seedKind)),
    help: 'seed of the random streams, of which image k is sample k, or one for each image',
    standard: 0,
    value: 'INT',
  },
  first: { ...first, help: 'index of the first image among the samples of the seed' },
  skippedLayers: {
    kind: withSchema(kinds.number, { type: 'integer', minimum: 0 }),
    help: 'number of last layers of the text encoder that are not used',
    standard: 0,
    value: 'N',
  },
  sizes: {
    kind: kinds.numbers,
    help: 'what a network with pooled states sees: height, width, top, left, height, width',
    otherwise: 'those of the images',
  },
  init: { kind: kinds.floats, help: 'unit noise that the run begins with, [N,C,h,w]', otherwise: 'that of the seed' },
  noise: { kind: noise.kind, help: 'the noise of the steps', otherwise: 'that of the seed' },
  batch: { kind: kinds.positiveInteger, help: 'most images evaluated at once', standard: 4, value: 'N' },
  output: { kind: nameOf(outputs), help: 'images, or latents, of which none is decoded', standard: 'images' },
  tile: {
    kind: kinds.positiveInteger,
    help: "side of the decoder's tiles in latents, for less memory",
    otherwise: 'the whole, unless that takes more than a quarter of the memory',
    value: 'N',
  },
  onPreview: { kind: kinds.function, help: 'is given images of unfinished states, by a small autoencoder' },
  previewEvery: { ...previewEvery, help: 'steps between two previews' },
  signal,
  onProgress: { kind: kinds.function, help: 'is told the steps done and the steps in all, of all images' },
} as const satisfies OptionFacts<GenerateOptions>;

/** Kind of each option of {@link GenerateOptions}. @internal */
export const generateKinds: OptionKinds<GenerateOptions> = kindsOf<GenerateOptions>(generateOptionFacts);

/** Defaults of {@link GenerateOptions}. @internal */
export const generateDefaults = standardsOf(generateOptionFacts);

/** Options of {@link TextToImage.run}, whose program says the rest. */
export type PromptOptions = Omit<GenerateOptions, 'sampler' | 'steps' | 'gamma' | 'image' | 'strength' | 'mask'>;

const programOptions: readonly string[] = ['sampler', 'steps', 'gamma', 'image', 'strength', 'mask'];

/** Kind of each option of {@link PromptOptions}. @internal */
export const promptKinds = Object.fromEntries(
  Object.entries(generateKinds).filter(([name]) => !programOptions.includes(name)),
) as unknown as OptionKinds<GenerateOptions>;

/** What a call leaves to its pipeline. @internal */
export interface CallDefaults {
  readonly guidance: number;
  readonly steps: number;
  /** Side of the images in pixels. */
  readonly side: number;
  /** Pixels of a latent's side, and channels of latents and images. */
  readonly factor: number;
  readonly latentChannels: number;
  readonly imageChannels: number;
}

/** Pictures that a call begins with. @internal */
export interface StartingPicture {
  /** Values [1 or N, C, H, W] of pictures, or latents [1 or N, C, h, w]. */
  readonly values: Float32Array;
  readonly isEncoded: boolean;
  /** Share of the steps that are taken. */
  readonly strength: number;
  /** Pixels [1 or N, H, W] that are drawn anew, 1, and that are kept, 0; null: all may change. */
  readonly mask: Float32Array | null;
}

/** A call, complete, which no longer depends on the caller's arrays. @internal */
export interface GenerateCall extends Pick<
  GenerateOptions,
  'first' | 'init' | 'tile' | 'onPreview' | 'previewEvery' | 'signal' | 'onProgress'
> {
  readonly prompts: readonly string[];
  /** Null: none was given. */
  readonly negatives: readonly string[] | null;
  readonly isChunked: boolean;
  readonly count: number;
  readonly guidance: readonly number[];
  /** Sides of the latents. */
  readonly height: number;
  readonly width: number;
  readonly sizes: readonly number[];
  readonly steps: number;
  readonly sampler: SamplerName;
  readonly gamma: GammaTable | ArrayLike<number> | undefined;
  readonly seed: number | bigint;
  readonly seeds: readonly (number | bigint)[] | undefined;
  readonly skippedLayers: number;
  readonly noise: Float32Array | undefined;
  readonly batch: number;
  readonly output: 'images' | 'latents';
  /** Null: it begins with noise alone. */
  readonly picture: StartingPicture | null;
}

/** Bytes that lists of all images of a call have for each. */
const BYTES_OF_SAMPLE = 64;

/**
 * Copies what a call says and completes it.
 *
 * @param isKept - True if all images are kept until the last is done.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option, `ERR_DPM_OUT_OF_MEMORY`.
 * @internal
 */
export function resolveCall(options: GenerateOptions, pipeline: CallDefaults, isKept: boolean): GenerateCall {
  const { prompt, negativePrompt, output = generateDefaults.output, init, noise } = options;
  const { count = typeof prompt === 'string' ? 1 : prompt.length } = options;
  const { longPrompts: long = generateDefaults.longPrompts, seed = generateDefaults.seed } = options;
  if (!outputs.includes(output)) throw unknownName('output', output, outputs);
  if (!longPrompts.includes(long)) throw unknownName('longPrompts', long, longPrompts);
  requirePreviews(options);
  const { height, width } = sidesOf(options, pipeline);
  const picture = pictureOf(options, { ...pipeline, height, width, count });
  if (isKept) {
    const values = count * pipeline.imageChannels * height * width;
    requireMemory(`count is ${count}, images of ${height} x ${width}`, values, Float32Array.BYTES_PER_ELEMENT);
  }
  requireMemory(`count is ${count}`, count, BYTES_OF_SAMPLE);
  const latents = { height: height / pipeline.factor, width: width / pipeline.factor };
  const elements = pipeline.latentChannels * latents.height * latents.width;
  return {
    prompts: perImage('prompt', prompt, count),
    negatives: negativePrompt === undefined ? null : perImage('negativePrompt', negativePrompt, count),
    isChunked: long === 'chunks',
    count,
    guidance: weightsOf(options.guidance ?? pipeline.guidance, count),
    ...latents,
    sizes: Array.from(options.sizes ?? [height, width, 0, 0, height, width]),
    steps: options.steps ?? pipeline.steps,
    sampler: options.sampler ?? generateDefaults.sampler,
    gamma: options.gamma,
    ...seedsOf(seed, count),
    first: options.first,
    skippedLayers: options.skippedLayers ?? generateDefaults.skippedLayers,
    init: init?.slice(),
    noise: noise === undefined ? undefined : flattenNoise(noise, count * elements),
    batch: options.batch ?? generateDefaults.batch,
    output,
    picture,
    tile: options.tile,
    onPreview: options.onPreview,
    previewEvery: options.previewEvery,
    signal: options.signal,
    onProgress: options.onProgress,
  };
}

/**
 * Gives the sides of images in pixels.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a side that no latents have.
 * @internal
 */
export function sidesOf(
  { height, width, image }: Pick<GenerateOptions, 'height' | 'width' | 'image'>,
  { side, factor }: Pick<CallDefaults, 'side' | 'factor'>,
): { height: number; width: number } {
  const [, , ownHeight = side, ownWidth = side] = image instanceof ImageBatch ? image.shape : [];
  const sides = { height: height ?? ownHeight, width: width ?? ownWidth };
  for (const [name, value] of Object.entries(sides)) {
    if (value % factor === 0 && value <= LARGEST_SIDE) continue;
    throw wrongValue(name, value, `a multiple of ${factor}, at most ${LARGEST_SIDE}`);
  }
  return sides;
}

/**
 * Gives the text of each image.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for texts of another number of images.
 * @internal
 */
export function perImage(name: string, given: string | readonly string[], count: number): string[] {
  if (typeof given === 'string') return new Array<string>(count).fill(given);
  if (given.length === count) return [...given];
  throw new DpmError('ERR_DPM_ARGUMENT', `${name} has ${given.length} texts for ${count} images`);
}

/**
 * Copies the pictures that a call begins with.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` for pictures of other sides or another number, `ERR_DPM_ARGUMENT` for a
 * strength without pictures, or values that are not finite.
 */
function pictureOf(
  { image, strength, mask }: Pick<GenerateOptions, 'image' | 'strength' | 'mask'>,
  {
    height,
    width,
    count,
    factor,
    latentChannels,
    imageChannels,
  }: CallDefaults & Record<'height' | 'width' | 'count', number>,
): StartingPicture | null {
  if (image === undefined) {
    const [lonely] = Object.entries({ strength, mask }).find(([, value]) => value !== undefined) ?? [];
    if (lonely === undefined) return null;
    throw new DpmError('ERR_DPM_ARGUMENT', `${lonely} is for image, which is missing`);
  }
  const isEncoded = !(image instanceof ImageBatch);
  const sampleShape = isEncoded
    ? ([latentChannels, height / factor, width / factor] as const)
    : ([imageChannels, height, width] as const);
  const values = oneOrEach('image', valuesOf('the pictures', image, { sampleShape, range: centredRange }), {
    elements: elementCount(sampleShape),
    count,
  });
  const standard = mask === undefined ? generateDefaults.strength : 1;
  const marked = mask && maskOf(mask, [1, height, width], count);
  return { values: values.slice(), isEncoded, strength: strength ?? standard, mask: marked ?? null };
}

/** Checks the number of values that are given once for all images, or once for each. */
function oneOrEach(
  name: string,
  values: Float32Array,
  { elements, count }: { elements: number; count: number },
): Float32Array {
  requireFinite(name, values);
  if (values.length === elements || values.length === count * elements) return values;
  throw new DpmError(
    'ERR_DPM_TENSOR_SHAPE',
    `${name} has ${values.length} values, it has to have ${elements} for all images or as many for each of ${count}`,
  );
}

/** Pixels that are drawn anew: 1 from a half on, as in diffusers. */
function maskOf(mask: GivenImages, sampleShape: readonly [1, number, number], count: number): Float32Array {
  const levels = valuesOf('the masks', mask, { sampleShape, range: unitRange });
  const given = oneOrEach('mask', levels, { elements: elementCount(sampleShape), count });
  return given.map((value) => (value >= 0.5 ? 1 : 0));
}

function weightsOf(guidance: number | ArrayLike<number>, count: number): number[] {
  const weights = typeof guidance === 'number' ? new Array<number>(count).fill(guidance) : Array.from(guidance);
  if (weights.length !== count) {
    throw new DpmError('ERR_DPM_ARGUMENT', `guidance has ${weights.length} weights for ${count} images`);
  }
  const wrong = weights.find((weight) => !Number.isFinite(weight));
  if (wrong !== undefined) throw wrongValue('guidance', wrong, 'a finite number');
  return weights;
}

function seedsOf(seed: number | bigint | readonly (number | bigint)[], count: number) {
  if (typeof seed !== 'object') return { seed, seeds: undefined };
  if (seed.length === count) return { seed: 0, seeds: [...seed] };
  throw new DpmError('ERR_DPM_ARGUMENT', `seed has ${seed.length} seeds for ${count} images`);
}
