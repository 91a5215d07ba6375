// Calls of text to image, complete and copied: what a caller says, and what its pipeline says where the caller does not.
import { elementCount } from '../base/arrays.js';
import { unknownName, wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { requireMemory } from '../base/memory-budget.js';
import { centredRange, unitRange } from '../base/pixel-range.js';
import type { Guide } from '../guidance/guide.js';
import { valuesOf, type GivenImages } from '../images/given-images.js';
import { ImageBatch } from '../images/image-batch.js';
import { flattenNoise } from '../run/noise-source.js';
import { requirePreviews } from '../run/resolve.js';
import { samplerByName, type SamplerName } from '../samplers/index.js';
import type { SamplerOptions } from '../samplers/options.js';
import type { GammaTable } from '../variance/gamma.js';
import { LARGEST_SIDE } from './autoencoder.js';
import type { ControlFacts } from './conditional-unet.js';
import { checkedControlOptions, type GivenControl } from './control-options.js';
import { generateDefaults, longPrompts, outputs, type GenerateOptions } from './generate-options.js';
import { oneOrEach } from './one-or-each.js';

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
  /** True if the U-Net sees an aesthetic score behind the sizes. */
  readonly seesScore: boolean;
  /** ControlNets of the pipeline, in their order. */
  readonly controlNets: readonly ControlFacts[];
}

/** Pictures that a call begins with. @internal */
export interface StartingPicture {
  /** Values [1 or N, C, H, W] of pictures, or latents [1 or N, C, h, w]. */
  readonly values: Float32Array;
  readonly isEncoded: boolean;
  /** Share of the steps that are taken; null: the latents have noise already, and the steps from their level on are taken. */
  readonly strength: number | null;
  /** Pixels [1 or N, H, W] that are drawn anew, 1, and that are kept, 0; null: all may change. */
  readonly mask: Float32Array | null;
}

/** A call, complete, which no longer depends on the caller's arrays. @internal */
export interface GenerateCall extends Pick<
  GenerateOptions,
  'first' | 'init' | 'denoisingStart' | 'denoisingEnd' | 'tile' | 'onPreview' | 'previewEvery' | 'signal' | 'onProgress'
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
  readonly negativeSizes: readonly number[];
  readonly guidanceRescale: number;
  readonly guides: readonly Guide[];
  /** Those of its ControlNets that are evaluated. */
  readonly controls: readonly GivenControl[];
  /** Undefined: the sampler chooses its steps while it runs. */
  readonly steps: number | undefined;
  readonly sampler: SamplerName;
  /** The sampler's own options beside the number of steps. */
  readonly own: SamplerOptions;
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
  const { sampler = generateDefaults.sampler } = options;
  const takesSteps = Object.hasOwn(samplerByName(sampler).facts.options, 'steps');
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
    ...sizesOf(options, { height, width, seesScore: pipeline.seesScore }),
    guidanceRescale: options.guidanceRescale ?? generateDefaults.guidanceRescale,
    guides: [...(options.guides ?? [])],
    controls: checkedControlOptions(options.controls, pipeline.controlNets, { height, width, count }),
    denoisingStart: options.denoisingStart,
    denoisingEnd: options.denoisingEnd,
    steps: options.steps ?? (takesSteps ? pipeline.steps : undefined),
    sampler,
    own: {},
    gamma: options.gamma,
    ...seedsOf(seed, count, options.denoisingStart),
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
  { height, width, image, controls }: Pick<GenerateOptions, 'height' | 'width' | 'image' | 'controls'>,
  { side, factor }: Pick<CallDefaults, 'side' | 'factor'>,
): { height: number; width: number } {
  const pictures = [image, ...(controls ?? []).map((control) => control?.image)];
  const [, , ownHeight = side, ownWidth = side] = pictures.find((each) => each instanceof ImageBatch)?.shape ?? [];
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

/** Aesthetic scores that a refiner sees where a call says nothing, as in diffusers: of the prompt, and of the negative one. */
const SCORES = [6, 2.5] as const;

/**
 * Copies what a network sees beside the pooled states, and completes it.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for another number of them beside the negative prompt.
 */
function sizesOf(
  { sizes: given, negativeSizes: away }: Pick<GenerateOptions, 'sizes' | 'negativeSizes'>,
  { height, width, seesScore }: Record<'height' | 'width', number> & Pick<CallDefaults, 'seesScore'>,
): Pick<GenerateCall, 'sizes' | 'negativeSizes'> {
  const sizes = Array.from(given ?? [height, width, 0, 0, ...(seesScore ? [SCORES[0]] : [height, width])]);
  const negativeSizes = Array.from(away ?? (seesScore ? [...sizes.slice(0, -1), SCORES[1]] : sizes));
  if (negativeSizes.length === sizes.length) return { sizes, negativeSizes };
  throw new DpmError('ERR_DPM_ARGUMENT', `negativeSizes has ${negativeSizes.length} numbers, sizes ${sizes.length}`);
}

/**
 * Copies the pictures that a call begins with.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` for pictures of other sides or another number, `ERR_DPM_ARGUMENT` for a
 * strength without pictures, or with latents that have noise already, or values that are not finite.
 */
function pictureOf(
  {
    image,
    strength,
    mask,
    init,
    denoisingStart,
  }: Pick<GenerateOptions, 'image' | 'strength' | 'mask' | 'init' | 'denoisingStart'>,
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
    const [lonely] = Object.entries({ strength, mask, denoisingStart }).find(([, value]) => value !== undefined) ?? [];
    if (lonely === undefined) return null;
    throw new DpmError('ERR_DPM_ARGUMENT', `${lonely} is for image, which is missing`);
  }
  const isEncoded = !(image instanceof ImageBatch);
  const isUnfinished = denoisingStart !== undefined;
  if (isUnfinished && (!isEncoded || [strength, mask, init].some((each) => each !== undefined))) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      'denoisingStart goes on from the latents of another run: give these as image, no pictures, and neither strength, mask nor init',
    );
  }
  const sampleShape = isEncoded
    ? ([latentChannels, height / factor, width / factor] as const)
    : ([imageChannels, height, width] as const);
  const values = oneOrEach('image', valuesOf('the pictures', image, { sampleShape, range: centredRange }), {
    elements: elementCount(sampleShape),
    count,
  });
  const marked = mask && maskOf(mask, [1, height, width], count);
  const share = isUnfinished ? null : (strength ?? standardStrength(mask));
  return { values: values.slice(), isEncoded, strength: share, mask: marked ?? null };
}

/** Gives the strength where none is given: a mask says by itself what may change. @internal */
export function standardStrength(mask: GenerateOptions['mask']): number {
  return mask === undefined ? generateDefaults.strength : 1;
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

/** An odd number far from 0, so that seeds which follow each other stay different (Knuth's golden ratio). */
const SEED_STEP = 0x9e3779b97f4a7c15n;

function behindHandOver(seed: number | bigint, share: number): bigint {
  return BigInt.asUintN(64, BigInt(seed) + BigInt(Math.round(share * 2 ** 32)) * SEED_STEP);
}

/**
 * Copies the seeds. Behind a hand-over steps are counted from 0 again: by another seed, that of the share, their noise is none
 * that the run before has drawn.
 */
function seedsOf(seed: number | bigint | readonly (number | bigint)[], count: number, share: number | undefined) {
  const own = (given: number | bigint): number | bigint => (share === undefined ? given : behindHandOver(given, share));
  if (typeof seed !== 'object') return { seed: own(seed), seeds: undefined };
  if (seed.length === count) return { seed: 0, seeds: seed.map(own) };
  throw new DpmError('ERR_DPM_ARGUMENT', `seed has ${seed.length} seeds for ${count} images`);
}
