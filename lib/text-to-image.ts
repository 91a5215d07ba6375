import { eitherSignal, throwIfAborted } from './base/abort.js';
import { at } from './base/arrays.js';
import { wrongValue } from './base/checks.js';
import { endingAtReturn } from './base/ending-at-return.js';
import { DpmError } from './base/errors.js';
import { checkOptions, kinds, type OptionKinds, requireKind } from './base/option-kinds.js';
import { centredRange, type PixelRange } from './base/pixel-range.js';
import { digestOfModel } from './checkpoint/digest.js';
import type { Device, MemoryUse } from './engine/device.js';

import { ImageBatch } from './images/image-batch.js';
import type { Autoencoder } from './latents/autoencoder.js';
import type { PromptBatcherOptions } from './latents/batcher/options.js';
import { PromptBatcher } from './latents/batcher/prompt-batcher.js';
import { callProgram, type BegunProgram } from './latents/call-program.js';
import type { ConditionalUNet } from './latents/conditional-unet.js';
import { promptKinds, type GenerateOptions, type PromptOptions } from './latents/generate-options.js';
import type { Generated, GeneratedImage } from './latents/generated.js';
import {
  invertDefaults,
  invertedStates,
  invertKinds,
  stepsBack,
  type Inverted,
  type InvertOptions,
} from './latents/inversion.js';
import {
  closePipeline,
  type KeptParts,
  type LoadedPipeline,
  loadPipeline,
  pipelineLoadKinds,
  type TextToImageLoadOptions,
} from './latents/load-pipeline.js';
import type { PipelineDefaults } from './latents/pipeline-source.js';
import { checkedLoras, loraList, type LoraOptions } from './latents/loras.js';
import { meansOfPicture } from './latents/picture-start.js';
import {
  beginningOf,
  completeCall,
  decodeLatents,
  previewDecoder,
  programOfCall,
  shapeOfImages,
  type CallParts,
} from './latents/pipeline-call.js';
import type { GenerateCall } from './latents/resolve-call.js';
import { previewOptions, PreviewQueue } from './latents/preview-queue.js';
import { withGuides } from './latents/guided-predictions.js';
import { promptedControls, requireKnownTimes } from './latents/prompted-controls.js';
import { promptedHead } from './latents/prompted-head.js';
import { promptedEvaluate, promptedNetwork, type PromptedEvaluate } from './latents/prompted-network.js';
import { promptedSamples, requireRoomForSamples, withMaps } from './latents/prompted-samples.js';
import type { EncodedPrompt } from './latents/prompts.js';
import type { PromptedNetworks, SwappedNetworks } from './latents/swapped-networks.js';
import type { Program } from './program/program.js';
import { runOnNetwork } from './run/network-run.js';
import { requireProgram } from './run/require-program.js';
import { resolveRun, type ResolvableOptions, type RunModel } from './run/resolve.js';
import { streamOnNetwork } from './run/stream.js';
import type { SamplerName } from './samplers/index.js';
import type { SamplerOptions } from './samplers/options.js';
import { splitOptions } from './samplers/split-options.js';
import type { NoiseSchedule } from './schedule/noise-schedule.js';
import type { TokenizedText } from './text/tokenizer.js';
import type { GammaTable } from './variance/gamma.js';

/** Options of a program that are those of a call, too. */
const programKinds = { steps: kinds.positiveInteger, gamma: kinds.any };

export type { Generated, GeneratedImage } from './latents/generated.js';

/**
 * Calls `work` with the U-Net of a pipeline as a function of states that texts guide with weight 1, which the labels of rows
 * name; `sides` are those of the images in pixels.
 *
 * @internal
 */
export let predicting: <T>(
  pipeline: TextToImage,
  prompt: readonly string[],
  sides: Pick<PromptOptions, 'height' | 'width' | 'signal'>,
  work: (evaluate: PromptedEvaluate) => Promise<T>,
) => Promise<T>;

/** A text-to-image pipeline: text encoders, a U-Net of latents and an autoencoder, on one device. Close it when done. */
export class TextToImage {
  static {
    predicting = (pipeline, ...rest) => pipeline.#predicting(...rest);
  }

  /** Device of the networks; the pipeline closes it if it has opened it. */
  readonly device: Device;
  /** Autoencoder between latents and images. */
  readonly vae: Autoencoder;
  /** Noise schedule of the latents. */
  readonly schedule: NoiseSchedule;
  /** Table of the folder's `gamma.json`, the default of the analytic samplers; null: there is none. */
  readonly gamma: GammaTable | null;
  /** What the pipeline was recognised by and, of a single file, what it predicts, and what told. */
  readonly evidence: string;
  readonly #path: string;
  readonly #folder: PipelineDefaults;
  readonly #networks: SwappedNetworks;
  readonly #preview: Autoencoder | null;
  readonly #keep: KeptParts;
  readonly #ownsDevice: boolean;
  readonly #batchers = new Set<PromptBatcher>();
  #isClosed = false;
  #digest: Promise<string> | undefined;

  private constructor(parts: LoadedPipeline) {
    const { path, opened, defaults, evidence, networks, vae, schedule, gamma, preview, keep } = parts;
    this.device = opened.device;
    this.#ownsDevice = opened.isOwn;
    this.#path = path;
    this.#folder = defaults;
    this.evidence = evidence;
    this.vae = vae;
    this.schedule = schedule;
    this.gamma = gamma;
    this.#networks = networks;
    this.#preview = preview;
    this.#keep = keep;
  }

  /**
   * Loads a pipeline.
   *
   * @param path - Path or file URL of a folder in diffusers' layout, with `model_index.json`: Stable Diffusion 1 and 2, SDXL
   * and its refiner, their turbo and LCM forms; or of a single file (`.safetensors`, `.ckpt`) with the original's names. Nothing is downloaded.
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

  /** U-Net of the latents, with the additions of now. One that {@link TextToImage.setLoras} has replaced is closed. */
  get unet(): ConditionalUNet {
    return this.#networks.current.unet;
  }

  /** Shape [C, H, W] of an image where a call says nothing. */
  get sampleShape(): readonly [channels: number, height: number, width: number] {
    const { factor, imageChannels } = this.vae;
    const side = this.unet.sampleSize * factor;
    return [imageChannels, side, side];
  }

  /** Values of black and white in images, about. */
  get range(): PixelRange {
    return centredRange;
  }

  /** Number of steps and guidance where a call says nothing. */
  get defaults(): { readonly steps: number; readonly guidance: number } {
    const { steps, guidance } = this.#folder;
    return { steps, guidance };
  }

  /** Tokens of a text as the first text encoder takes them. */
  tokenize(text: string): TokenizedText {
    return this.#networks.current.encoders.tokenize(text);
  }

  /**
   * Encodes a text as the U-Net sees it.
   *
   * @returns States of its tokens, [tokens, width], and, where the U-Net sees them, its pooled states, [width].
   */
  async encodePrompt(text: string): Promise<EncodedPrompt> {
    if (typeof text !== 'string') throw wrongValue('the text', text, 'a text');
    return this.#networks.using(async ({ encoders }) => at(await encoders.encode([{ text, chunks: null }], 0), 0));
  }

  /**
   * Replaces the low-rank additions (LoRA) to the U-Net and the text encoders: those of several files are summed, an empty
   * list takes all away. Calls that are running end with those that they began with. Networks that are changed are loaded
   * anew, with only those of their weights packed that are changed, and `unet` is then another one.
   *
   * @throws {@link DpmError} naming the file and the wrong tensor or option: then nothing has changed. `ERR_DPM_UNSUPPORTED`
   * for other methods (DoRA, LoHa, LoKr), `ERR_DPM_TENSOR_UNUSED` for a file of layers that the networks do not have.
   *
   * @example
   * ```ts
   * await pipeline.setLoras([{ path: 'style.safetensors', scale: 0.8 }]);
   * ```
   */
  async setLoras(loras: readonly LoraOptions[]): Promise<void> {
    requireKind('loras', loras, loraList);
    await this.#networks.setLoras(checkedLoras(loras));
  }

  /**
   * Draws images of texts.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option, `ERR_DPM_ABORTED` if aborted,
   * `ERR_DPM_OUT_OF_MEMORY` with the figure for images that do not fit into the memory there is.
   *
   * @example
   * ```ts
   * const { images } = await pipeline.generate({ prompt: 'a red fox', negativePrompt: 'blurry', guidance: 6, seed: 7 });
   * ```
   */
  async generate(options: GenerateOptions): Promise<Generated> {
    const call = this.#call('generate', options, true);
    return this.#draw(call, this.#program(call));
  }

  /**
   * Draws images of texts with a program: a sampler with options of its own.
   *
   * @throws {@link DpmError} as {@link TextToImage.generate}, and `ERR_DPM_ARGUMENT` for a program that is none.
   *
   * @example
   * ```ts
   * const program = samplers.ddim(pipeline.schedule, { steps: 20, eta: 0.5, clip: 'none' });
   * const { images } = await pipeline.run(program, { prompt: 'a red fox', seed: 7 });
   * ```
   */
  async run(program: Program, options: PromptOptions): Promise<Generated> {
    requireProgram(program);
    promptedHead(this.unet, this.schedule, program.head);
    const call = this.#call('run', options, true, promptKinds);
    requireKnownTimes(call, program);
    return this.#draw(call, { program, start: null, whole: program });
  }

  /**
   * Finds the noise that pictures are drawn from: the steps of a run without noise, taken back (DDIM inversion). Drawn from it
   * with another prompt, a picture keeps much of what it was.
   *
   * @throws {@link DpmError} as {@link TextToImage.generate}, and `ERR_DPM_UNSUPPORTED` for a sampler that cannot be taken back.
   *
   * @example
   * ```ts
   * const { noise } = await pipeline.invert({ image, prompt: 'a photo of a cat', steps: 50 });
   * const edited = await pipeline.generate({ prompt: 'a photo of a dog', init: noise, sampler: 'ddim', steps: 50 });
   * ```
   */
  async invert(options: InvertOptions): Promise<Inverted> {
    checkOptions('invert', options, invertKinds);
    const { sampler = invertDefaults.sampler, guidance = invertDefaults.guidance, iterations, ...rest } = options;
    if (rest.image === undefined) throw wrongValue('image', rest.image, 'the pictures to bring back to noise');
    const call = this.#call('invert', { ...rest, sampler, guidance, strength: 1 }, true);
    const { program } = callProgram({ ...call, picture: null }, this.schedule, this.gamma);
    const steps = stepsBack(program, sampler);
    return this.#networks.using(async (networks) => {
      const { samples, truncated, controls } = await this.#samples(networks, call, program);
      await requireRoomForSamples(networks.unet, samples, call);
      const latents = await meansOfPicture(this.vae, call);
      if (this.#keep !== 'all') await this.vae.release();
      const evaluate = promptedEvaluate(networks.unet, { ...call, sampleOf: (label) => samples[label], controls });
      const states = await invertedStates(evaluate, steps, latents, call, iterations ?? invertDefaults.iterations);
      if (this.#keep === 'none') await networks.unet.release();
      return { noise: states.map((value) => value / program.initialScale), truncated };
    });
  }

  async #predicting<T>(
    prompt: readonly string[],
    sides: Pick<PromptOptions, 'height' | 'width' | 'signal'>,
    work: (evaluate: PromptedEvaluate) => Promise<T>,
  ): Promise<T> {
    const call = this.#call('predicting', { prompt, guidance: 1, ...sides }, false);
    return this.#networks.using(async (networks) => {
      const { samples, controls } = await this.#samples(networks, call, null);
      return work(promptedEvaluate(networks.unet, { ...call, sampleOf: (label) => samples[label], controls }));
    });
  }

  async #draw(call: GenerateCall, begun: BegunProgram): Promise<Generated> {
    const { latents, truncated } = await this.#networks.using((networks) => this.#latents(networks, call, begun));
    if (call.output === 'latents') return { images: null, latents, truncated, tile: null };
    const { data, tile } = await decodeLatents(this.vae, latents, call);
    if (this.#keep !== 'all') await this.vae.release();
    return { images: new ImageBatch(data, shapeOfImages(this.vae, call, call.count)), latents, truncated, tile };
  }

  /**
   * Draws images as {@link TextToImage.generate} does and yields each when its batch is done: a large `count` needs no
   * large memory. Leaving the loop ends the work.
   *
   * @throws {@link DpmError} The errors of {@link TextToImage.generate}; those of wrong options at the call.
   *
   * @example
   * ```ts
   * for await (const { sample, image } of pipeline.stream({ prompt: 'a red fox', count: 100, batch: 1 })) {
   *   await image?.save(`fox-${sample}.png`);
   * }
   * ```
   */
  stream(options: GenerateOptions): AsyncGenerator<GeneratedImage, void, void> {
    const left = new AbortController();
    const call = this.#call('stream', options, false);
    const images = this.#stream({ ...call, signal: eitherSignal(left.signal, call.signal) }, this.#program(call));
    return endingAtReturn(images, () => {
      left.abort();
    });
  }

  /**
   * Opens a batch that requests join and leave at every evaluation, whatever their prompts, steps and samplers are: for servers,
   * whose requests come at any time. While it is open all weights stay in memory.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option, `ERR_DPM_OUT_OF_MEMORY` if it needs more than
   * `memoryBudget` or the memory there is.
   *
   * @example
   * ```ts
   * await using batcher = await pipeline.batcher({ maxWait: 60_000 });
   * const { images } = await batcher.generate({ prompt: 'a red fox', steps: 20, seed: 1 });
   * ```
   */
  async batcher(options: PromptBatcherOptions = {}): Promise<PromptBatcher> {
    const batcher = await PromptBatcher.open(
      {
        name: this.#path,
        networks: this.#networks,
        parts: () => this.#callParts,
        released: (closed) => {
          this.#batchers.delete(closed);
        },
      },
      options,
    );
    this.#batchers.add(batcher);
    if (!this.#isClosed) return batcher;
    // The pipeline was closed while the batcher was opened.
    await batcher.close();
    throw new DpmError('ERR_DPM_CLOSED', 'the pipeline is closed');
  }

  /**
   * Compiles the program that {@link TextToImage.generate} or a batcher runs, to know its cost and check its options beforehand.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option, `ERR_DPM_UNSUPPORTED` if the pipeline lacks a needed part.
   */
  program(options: { sampler?: SamplerName } & SamplerOptions = {}): Program {
    const { sampler, own, run } = splitOptions<Pick<GenerateOptions, 'steps' | 'gamma'>>(options, programKinds);
    return this.#program({ ...this.#call('program', { prompt: '', sampler, ...run }, false), own }).program;
  }

  /**
   * Computes the SHA-256 of the pipeline's configurations and weights as hexadecimal digits, from the names and contents of all
   * such files in its folder, or from its file; parts of other places are not among them.
   *
   * @throws {@link DpmError} `ERR_DPM_FILE` if a file can no longer be read.
   */
  digest(): Promise<string> {
    return (this.#digest ??= digestOfModel(this.#path));
  }

  /** Bytes in use on the pipeline's device, see {@link MemoryUse}. */
  memory(): MemoryUse {
    return this.device.memory();
  }

  /**
   * Ends the requests of its batchers with `ERR_DPM_CLOSED`, waits for running work and releases everything. Can be called
   * again.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#batchers].map((batcher) => batcher.close()));
    const opened = { device: this.device, isOwn: this.#ownsDevice };
    await closePipeline({ networks: this.#networks, vae: this.vae, preview: this.#preview, opened });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Draws the latents of a call. */
  async #latents(
    networks: PromptedNetworks,
    call: GenerateCall,
    begun: BegunProgram,
  ): Promise<{ latents: Float32Array; truncated: boolean[] }> {
    const run = await this.#begin(networks, call, begun);
    const { images } = await runOnNetwork(await resolveRun(run.model, run.program, run.options));
    await run.previews.shown();
    if (call.output !== 'latents' && this.#keep === 'none') await networks.unet.release();
    return { latents: images.data, truncated: run.truncated };
  }

  async *#stream(call: GenerateCall, begun: BegunProgram): AsyncGenerator<GeneratedImage, void, void> {
    const { networks, release } = this.#networks.take();
    try {
      const run = await this.#begin(networks, call, begun);
      for await (const { sample, image } of streamOnNetwork(run.model, run.program, run.options)) {
        await run.previews.shown();
        const latents = image.data;
        const truncated = at(run.truncated, sample);
        const data = call.output === 'latents' ? null : (await decodeLatents(this.vae, latents, call)).data;
        yield { sample, image: data && new ImageBatch(data, shapeOfImages(this.vae, call, 1)), latents, truncated };
      }
    } finally {
      // The next batch is computed while images are decoded: its weights stay until the end.
      if (this.#keep === 'none') await networks.unet.release();
      if (this.#keep !== 'all') await this.vae.release();
      await release();
    }
  }

  /** Checks and completes the options of a call. */
  #call(who: string, options: GenerateOptions, isKept: boolean, kinds?: OptionKinds<GenerateOptions>): GenerateCall {
    return completeCall(this.#callParts, options, { who, isKept, ...(kinds !== undefined && { kinds }) });
  }

  #program(call: GenerateCall): BegunProgram {
    return programOfCall(this.#callParts, call);
  }

  get #callParts(): CallParts {
    const { vae, schedule, gamma, unet } = this;
    return { vae, schedule, gamma, unet, defaults: this.#folder, preview: this.#preview };
  }

  /** Encodes the texts of a call, and the pictures that control. */
  async #samples({ unet, encoders }: PromptedNetworks, call: GenerateCall, program: Program | null) {
    const encoded = await promptedSamples({ encoders, unet, zerosForNone: this.#folder.zerosForNone }, call);
    const controls = program === null ? [] : await promptedControls(unet, call, program);
    if (this.#keep !== 'all') await Promise.all([encoders.release(), unet.releasePrompts()]);
    return { ...encoded, controls };
  }

  /** Encodes the texts of a call, and makes the network and the options of its program's run. */
  async #begin(networks: PromptedNetworks, call: GenerateCall, { program, start, whole }: BegunProgram) {
    const { unet } = networks;
    const { height, width, count, seed, seeds, first, noise, batch, signal, onProgress } = call;
    const { samples, truncated, controls } = await this.#samples(networks, call, whole);
    const begun = await beginningOf({ ...this.#callParts, unet }, call, { program, start });
    if (call.picture !== null && this.#keep !== 'all') await this.vae.release();
    const head = promptedHead(unet, this.schedule, program.head);
    await requireRoomForSamples(unet, samples, call, head?.name);
    throwIfAborted(signal);
    const prompted = withMaps(samples, begun.beside);
    const network = promptedNetwork(
      unet,
      { height, width, sampleOf: (label) => prompted[label], controls },
      { classes: count, head },
      (evaluate) => withGuides(evaluate, call.guides, { schedule: this.schedule, program, signal }),
    );
    const previews = new PreviewQueue();
    const model: RunModel = {
      sampleShape: [this.vae.latentChannels, height, width],
      range: centredRange,
      labelForNone: undefined,
      network: () => Promise.resolve(network),
    };
    const options: ResolvableOptions = {
      count,
      seed,
      seeds,
      first,
      noise,
      batch: Math.min(batch, count),
      signal,
      onProgress,
      classLabels: Array.from({ length: count }, (_, sample) => sample),
      ...(begun.init !== undefined && { init: begun.init }),
      ...(begun.constrain !== undefined && { constrain: begun.constrain }),
      ...(call.onPreview !== undefined &&
        previewOptions(previewDecoder(this.#callParts), call, call.onPreview, previews)),
    };
    return { model, program, options, truncated, previews };
  }
}
