import { throwIfAborted } from './base/abort.js';
import { requireMemory } from './base/memory-budget.js';
import { MOST_AT_ONCE } from './engine/binding.js';
import { at } from './base/arrays.js';
import { unknownName, wrongValue } from './base/checks.js';
import { DpmError } from './base/errors.js';
import { checkOptions, isList, kinds, type OptionKinds, requireKind, seedKind } from './base/option-kinds.js';
import type { Device } from './engine/device.js';
import { ImageBatch } from './images/image-batch.js';
import { type Autoencoder, LARGEST_SIDE } from './latents/autoencoder.js';
import type { ConditionalUNet, ConditionalForwardOptions } from './latents/conditional-unet.js';
import {
  type LoadedPipeline,
  loadPipeline,
  pipelineLoadKinds,
  type TextToImageLoadOptions,
} from './latents/load-pipeline.js';
import type { PipelineDefaults } from './latents/pipeline-source.js';
import type { EncodedPrompt, PromptEncoders } from './latents/prompts.js';
import type { Program } from './program/program.js';
import { flattenNoise, type NoiseOption } from './run/noise-source.js';
import { runOptionKinds } from './run/options.js';
import { runProgram } from './run/run-program.js';
import { samplerByName, type SamplerName } from './samplers/index.js';
import type { NoiseSchedule } from './schedule/noise-schedule.js';
import type { TokenizedText } from './text/tokenizer.js';

/** Options of {@link TextToImage.generate}. */
export interface GenerateOptions {
  /** Text of all images, or one each. */
  prompt: string | readonly string[];
  /** Text that guidance leads away from, for all images or one each. Default: none. */
  negativePrompt?: string | readonly string[] | undefined;
  /** Number of images. Default: one for each prompt. */
  count?: number | undefined;
  /** Number of evaluations, `num_inference_steps` of the scheduler's class. Default: that of the pipeline's class. */
  steps?: number | undefined;
  /** Sampler in place of the scheduler's, of `steps` evaluations. */
  sampler?: SamplerName | undefined;
  /** Weight of the prompt against the negative prompt, as in diffusers: 1 and less is the prompt alone. Default: that of the pipeline's class. */
  guidance?: number | undefined;
  /** Height of the images in pixels. Default: that of the network. */
  height?: number | undefined;
  /** Width of the images in pixels. Default: that of the network. */
  width?: number | undefined;
  /** Seed of the random stream; image k is sample k of it. Default 0. */
  seed?: number | bigint | undefined;
  /** Number of last layers of the text encoder that are not used. Default 0. */
  skippedLayers?: number | undefined;
  /** Numbers that a network with pooled states sees, (height, width, top, left, height, width). Default: those of the images. */
  sizes?: readonly number[] | undefined;
  /** Unit noise that the run begins with, [N, C, h, w]. Default: of the seed. */
  init?: Float32Array | undefined;
  /** Explicit noise of the steps. Default: of the seed. */
  noise?: NoiseOption | undefined;
  /** `latents`: no image is decoded. Default `images`. */
  output?: 'images' | 'latents' | undefined;
  /** Side of the decoder's tiles in latents, see {@link Autoencoder.decode}. Default: the whole. */
  tile?: number | undefined;
  /** Signal that aborts before the next evaluation. */
  signal?: AbortSignal | undefined;
  /** Function that receives the number of finished steps and of all. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

const outputs: readonly string[] = ['images', 'latents'];

const texts = {
  expected: 'a text, or a list of texts',
  holds: (value: unknown) =>
    typeof value === 'string' || (isList(value) && value.length > 0 && value.every((each) => typeof each === 'string')),
};

const generateKinds: OptionKinds<GenerateOptions> = {
  prompt: texts,
  negativePrompt: texts,
  count: kinds.positiveInteger,
  steps: kinds.positiveInteger,
  sampler: kinds.string,
  guidance: kinds.finite,
  height: kinds.positiveInteger,
  width: kinds.positiveInteger,
  seed: seedKind,
  skippedLayers: kinds.number,
  sizes: kinds.numbers,
  init: kinds.floats,
  noise: runOptionKinds.noise,
  output: kinds.string,
  tile: kinds.positiveInteger,
  signal: kinds.signal,
  onProgress: kinds.function,
};

/** Images of texts. */
export interface Generated {
  /** Images [N, C, H, W] with values in about [-1, 1]; null for `output: 'latents'`. */
  readonly images: ImageBatch | null;
  /** Latents as the diffusion knows them, [N, C, h, w]. */
  readonly latents: Float32Array;
  /** True for each image whose prompt, or negative prompt, was longer than the encoder reads. */
  readonly truncated: readonly boolean[];
}

/** A text-to-image pipeline: text encoders, a U-Net of latents and an autoencoder, on one device. Close it when done. */
export class TextToImage {
  /** Device of the networks; the pipeline closes it if it has opened it. */
  readonly device: Device;
  /** U-Net of the latents. */
  readonly unet: ConditionalUNet;
  /** Autoencoder between latents and images. */
  readonly vae: Autoencoder;
  /** Noise schedule of the latents. */
  readonly schedule: NoiseSchedule;
  /** What the pipeline was recognised by and, of a single file, what it predicts, and what told. */
  readonly evidence: string;
  readonly #folder: PipelineDefaults;
  readonly #encoders: PromptEncoders;
  readonly #ownsDevice: boolean;

  private constructor({ opened, defaults, evidence, unet, vae, schedule, encoders }: LoadedPipeline) {
    this.device = opened.device;
    this.#ownsDevice = opened.isOwn;
    this.#folder = defaults;
    this.evidence = evidence;
    this.unet = unet;
    this.vae = vae;
    this.schedule = schedule;
    this.#encoders = encoders;
  }

  /**
   * Loads a pipeline.
   *
   * @param path - Path or file URL of a folder in diffusers' layout, with `model_index.json`: Stable Diffusion 1 and 2, SDXL,
   * their turbo and LCM forms; or of a single file (`.safetensors`, `.ckpt`) with the original's names. Nothing is downloaded.
   * @throws {@link DpmError} naming the wrong file, tensor, field or device; `ERR_DPM_ABORTED` if aborted.
   *
   * @example
   * ```ts
   * await using pipeline = await TextToImage.load('stable-diffusion-v1-5', { device: 'cpu' });
   * const { images } = await pipeline.generate({ prompt: 'a photo of a cat', steps: 20, seed: 1 });
   * await images?.save('cat.png');
   * ```
   */
  static async load(path: string | URL, options: TextToImageLoadOptions = {}): Promise<TextToImage> {
    checkOptions('TextToImage.load', options, pipelineLoadKinds);
    return new TextToImage(await loadPipeline(path, options));
  }

  /** Tokens of a text as the first text encoder takes them. */
  tokenize(text: string): TokenizedText {
    return this.#encoders.tokenize(text);
  }

  /**
   * Encodes a text as the U-Net sees it.
   *
   * @returns States of its tokens, [1, tokens, width], and, where the U-Net sees them, its pooled states, [1, width].
   */
  async encodePrompt(text: string): Promise<EncodedPrompt> {
    if (typeof text !== 'string') throw wrongValue('the text', text, 'a text');
    return this.#encoders.encode([text], 0);
  }

  /**
   * Draws images of texts.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option, `ERR_DPM_ABORTED` if aborted.
   *
   * @example
   * ```ts
   * const { images } = await pipeline.generate({ prompt: 'a red fox', negativePrompt: 'blurry', guidance: 6, seed: 7 });
   * ```
   */
  async generate(options: GenerateOptions): Promise<Generated> {
    checkOptions('generate', options, generateKinds);
    requireKind('prompt', options.prompt, texts);
    const run = this.#resolve(options);
    const program = this.#program(run);
    const { count, guided, size, signal } = run;
    const positive = await this.#encoders.encode(run.prompts, run.skippedLayers);
    const negative = guided ? await this.#negative(run, positive) : null;
    throwIfAborted(signal);
    const { given, truncated } = await this.#given(run, positive, negative);
    const latents = await runProgram(program, {
      shape: [count, this.vae.latentChannels, size.height, size.width],
      seed: run.seed,
      signal,
      device: this.device,
      ...(run.init !== null && { init: run.init.map((value) => value * program.initialScale) }),
      ...(run.noise !== undefined && { noise: run.noise }),
      ...(run.onProgress !== undefined && { onProgress: run.onProgress }),
      model: (x, t) => this.#predict(x, t, given, guided ? run.guidance : null),
    });
    if (run.output === 'latents') return { images: null, latents, truncated };
    const [height, width] = [size.height * this.vae.factor, size.width * this.vae.factor];
    const decoded = await this.vae.decode(this.vae.fromDiffusion(latents), { height, width, tile: run.tile, signal });
    return { images: new ImageBatch(decoded, [count, this.vae.imageChannels, height, width]), latents, truncated };
  }

  /** Waits for running work and releases everything. Can be called again. */
  async close(): Promise<void> {
    await Promise.all([this.unet.close(), this.vae.close(), this.#encoders.close()]);
    if (this.#ownsDevice) await this.device.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Copies what a call says, which the caller may change afterwards, and completes it. */
  #resolve(options: GenerateOptions) {
    const { prompt, negativePrompt, guidance = this.#folder.guidance, output = 'images' } = options;
    const { count = typeof prompt === 'string' ? 1 : prompt.length } = options;
    if (count > MOST_AT_ONCE) throw wrongValue('count', count, `at most ${MOST_AT_ONCE}`);
    if (!outputs.includes(output)) throw unknownName('output', output, outputs);
    const seesGuidance = this.unet.seesGuidance;
    const side = this.unet.sampleSize * this.vae.factor;
    const { height = side, width = side } = options;
    for (const [name, value] of Object.entries({ height, width })) {
      if (value % this.vae.factor === 0 && value <= LARGEST_SIDE) continue;
      throw wrongValue(name, value, `a multiple of ${this.vae.factor}, at most ${LARGEST_SIDE}`);
    }
    const values = count * this.vae.imageChannels * height * width;
    requireMemory(`count is ${count}, images of ${height} x ${width}`, values, Float32Array.BYTES_PER_ELEMENT);
    const { init, noise } = options;
    return {
      prompts: perImage('prompt', prompt, count),
      negatives: negativePrompt === undefined ? null : perImage('negativePrompt', negativePrompt, count),
      count,
      guidance,
      guided: guidance > 1 && !seesGuidance,
      size: { height: height / this.vae.factor, width: width / this.vae.factor },
      sizes: Array.from(options.sizes ?? [height, width, 0, 0, height, width]),
      steps: options.steps ?? this.#folder.steps,
      sampler: options.sampler ?? 'scheduler',
      seed: options.seed ?? 0,
      skippedLayers: options.skippedLayers ?? 0,
      init: init === undefined ? null : init.slice(),
      noise: noise === undefined ? undefined : flattenNoise(noise, count * this.#latentElements(height, width)),
      output,
      tile: options.tile,
      signal: options.signal,
      onProgress: options.onProgress,
    };
  }

  #latentElements(height: number, width: number): number {
    return (this.vae.latentChannels * height * width) / this.vae.factor ** 2;
  }

  #program({ sampler, steps }: { sampler: SamplerName; steps: number }): Program {
    // Latents have no interval that a prediction could be clipped to.
    return samplerByName(sampler)(this.schedule, { steps, clip: 'none' });
  }

  async #negative(
    { negatives, count, skippedLayers }: { negatives: readonly string[] | null; count: number; skippedLayers: number },
    positive: EncodedPrompt,
  ): Promise<EncodedPrompt> {
    if (negatives === null && this.#folder.zerosForNone) {
      const pooled = positive.pooled === null ? null : new Float32Array(positive.pooled.length);
      return {
        hidden: new Float32Array(positive.hidden.length),
        pooled,
        truncated: positive.truncated.map(() => false),
      };
    }
    return this.#encoders.encode(negatives ?? new Array<string>(count).fill(''), skippedLayers);
  }

  /** Makes what the U-Net sees in every step: the negative rows first, then the prompts'. */
  async #given(
    run: { count: number; size: { height: number; width: number }; sizes: number[]; guidance: number },
    positive: EncodedPrompt,
    negative: EncodedPrompt | null,
  ): Promise<{ given: ConditionalForwardOptions; truncated: boolean[] }> {
    const rows = [...(negative === null ? [] : [negative]), positive];
    const batch = rows.length * run.count;
    const joined = (parts: readonly Float32Array[]): Float32Array => {
      const result = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
      let first = 0;
      for (const part of parts) {
        result.set(part, first);
        first += part.length;
      }
      return result;
    };
    const pooled = rows.flatMap((row) => (row.pooled === null ? [] : [row.pooled]));
    const seesText = this.unet.seesPooled;
    return {
      given: {
        ...run.size,
        context: await this.unet.prepare(joined(rows.map(({ hidden }) => hidden)), batch),
        ...(seesText && { pooled: joined(pooled), sizes: Array.from({ length: batch }, () => run.sizes).flat() }),
        ...(this.unet.seesGuidance && { guidance: run.guidance }),
      },
      truncated: positive.truncated.map((each, i) => each || (negative !== null && at(negative.truncated, i))),
    };
  }

  /** Predicts with both prompts in one evaluation: out = out- + w (out+ - out-). */
  async #predict(
    x: Float32Array,
    t: number,
    given: ConditionalForwardOptions,
    guidance: number | null,
  ): Promise<Float32Array> {
    if (guidance === null) return this.unet.forward(x, t, given);
    const both = new Float32Array(2 * x.length);
    both.set(x);
    both.set(x, x.length);
    const out = await this.unet.forward(both, t, given);
    const half = out.length / 2;
    return Float32Array.from({ length: half }, (_, i) => {
      const away = out[i] ?? 0;
      return away + guidance * ((out[half + i] ?? 0) - away);
    });
  }
}

function perImage(name: string, given: string | readonly string[], count: number): string[] {
  if (typeof given === 'string') return new Array<string>(count).fill(given);
  if (given.length === count) return [...given];
  throw new DpmError('ERR_DPM_ARGUMENT', `${name} has ${given.length} texts for ${count} images`);
}
