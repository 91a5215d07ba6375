import { kindsOf, standardsOf, type OptionFacts } from '../base/option-facts.js';
import {
  arrayOf,
  either,
  isList,
  type Kind,
  kinds,
  nameOf,
  numberOrNumbers,
  probability,
  type OptionKinds,
  seedKind,
  shareAboveZero,
  withSchema,
} from '../base/option-kinds.js';
import { givenImages, type GivenImages } from '../images/given-images.js';
import type { Guide } from '../guidance/guide.js';
import type { ImageBatch } from '../images/image-batch.js';
import type { NoiseOption } from '../run/noise-source.js';
import { runOptionFacts, type PreviewPlace } from '../run/options.js';
import { controlList, type ControlOptions } from './control-options.js';
import { samplerNames, type SamplerName } from '../samplers/index.js';
import { tableKind, type GammaTable } from '../variance/gamma.js';

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
   * Share, 0 to 1, of the guided prediction whose standard deviation over an image is made that of the prompt's alone, against
   * what large weights and networks that see noise alone overexpose (Lin et al. 2024, equation 16). Default 0.
   */
  guidanceRescale?: number | undefined;
  /**
   * Gradients of ln p at the states, which are added to the score: those of {@link Classifier.guide} for a classifier of noisy
   * latents, or a function's own, as minus the gradient of an energy. Each is asked once an evaluation.
   */
  guides?: readonly Guide[] | undefined;
  /**
   * What each ControlNet of the pipeline is given, in their order; null: it is left out. Default: all are left out.
   */
  controls?: readonly (ControlOptions | null)[] | undefined;
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
  /**
   * Share of the noise schedule's times that another pipeline has gone through, whose `latents` are `image`: the steps of the
   * rest are taken, above 0 to 1, without more noise at first. It is the `denoisingEnd` of that pipeline, which has to have the
   * same schedule, sampler and steps, as the latents are those of a level. Noise of steps is of another seed than before.
   */
  denoisingStart?: number | undefined;
  /**
   * Share of the noise schedule's times whose steps are taken: the latents then have the noise of the next step's level.
   * Above 0 to 1, for a sampler of one evaluation a step. Default: all.
   */
  denoisingEnd?: number | undefined;
  /** Height of the images in pixels. Default: that of `image` or of the pictures of `controls`, else of the network. */
  height?: number | undefined;
  /** Width of the images in pixels. Default: that of `image` or of the pictures of `controls`, else of the network. */
  width?: number | undefined;
  /** Seed of the random streams, of which image k is sample `first` + k; or one each, of which each image is sample `first`. Default 0. */
  seed?: number | bigint | readonly (number | bigint)[] | undefined;
  /** Index of the first sample among those of the seed. Default 0. */
  first?: number | undefined;
  /** Number of last layers of the text encoder that are not used. Default 0. */
  skippedLayers?: number | undefined;
  /**
   * Numbers that a network with pooled states sees, (height, width, top, left, height, width), of a refiner (height, width, top,
   * left, aesthetic score). Default: those of the images, with score 6.
   */
  sizes?: readonly number[] | undefined;
  /** The same beside the negative prompt. Default: `sizes`, with the score 2.5 of a refiner. */
  negativeSizes?: readonly number[] | undefined;
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

/** Every `output`. @internal */
export const outputs = ['images', 'latents'] as const;
/** Every {@link LongPrompts}. @internal */
export const longPrompts: readonly LongPrompts[] = ['truncate', 'chunks'];

/** Kind of `prompt` and `negativePrompt`. @internal */
export const texts: Kind = {
  expected: 'a text, or a list of texts',
  schema: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' }, minItems: 1 }] },
  holds: (value: unknown) =>
    typeof value === 'string' || (isList(value) && value.length > 0 && value.every((each) => typeof each === 'string')),
};

const { first, guides, noise, previewEvery, signal } = runOptionFacts;
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
  guidanceRescale: {
    kind: probability,
    help: "share of the guided prediction whose deviation is made that of the prompt's alone, against overexposure",
    standard: 0,
    value: 'PHI',
  },
  guides: {
    kind: guides.kind,
    help: 'gradients of ln p at the states, which are added to the score',
    otherwise: 'none',
  },
  controls: {
    kind: controlList,
    help: 'pictures that control, one entry for each ControlNet of the pipeline, null to leave one out',
    otherwise: 'none',
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
  denoisingStart: {
    kind: shareAboveZero,
    help: 'share of the times that another pipeline has gone through, whose latents are image: the rest is gone through',
    otherwise: 'nothing',
    value: 'S',
  },
  denoisingEnd: {
    kind: shareAboveZero,
    help: 'share of the times that are gone through, for a refiner that goes through the rest',
    otherwise: 'all',
    value: 'S',
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
    help: 'what a network with pooled states sees: height, width, top, left, height, width, or an aesthetic score',
    otherwise: 'those of the images',
  },
  negativeSizes: {
    kind: kinds.numbers,
    help: 'the same beside the negative prompt',
    otherwise: 'sizes, with a score of 2.5',
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
export type PromptOptions = Omit<
  GenerateOptions,
  'sampler' | 'steps' | 'gamma' | 'image' | 'strength' | 'mask' | 'denoisingStart' | 'denoisingEnd'
>;

const programOptions: Readonly<Record<Exclude<keyof GenerateOptions, keyof PromptOptions>, true>> = {
  sampler: true,
  steps: true,
  gamma: true,
  image: true,
  strength: true,
  mask: true,
  denoisingStart: true,
  denoisingEnd: true,
};

/** Kind of each option of {@link PromptOptions}. @internal */
export const promptKinds = Object.fromEntries(
  Object.entries(generateKinds).filter(([name]) => !Object.hasOwn(programOptions, name)),
) as unknown as OptionKinds<GenerateOptions>;
