import { throwIfAborted } from '../base/abort.js';
import { at } from '../base/arrays.js';
import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { requireRoom } from '../base/memory-budget.js';
import { arrayOf, checkOptions, integerBetween, kinds, type OptionKinds, requireKind } from '../base/option-kinds.js';
import type { OpenedDevice } from '../checkpoint/load-network.js';
import type { HeadName, HeadsConfig } from '../checkpoint/heads.js';
import { isOfUNet, type ReadConditional } from '../checkpoint/pipelines/conditional.js';
import { withControls } from '../checkpoint/pipelines/control.js';
import { readConditionalAt } from '../checkpoint/pipelines/single-file/unet-file.js';
import { checkedBatch, checkedLabels, checkedTimes, networkTimes } from '../engine/inputs.js';
import { contextChannels } from '../network/conditional.js';
import { hintFactor } from '../network/control.js';
import { countElements } from '../network/cost.js';
import {
  addedVectors,
  checkedControls,
  checkedIndices,
  guidanceVectors,
  scalesOf,
  statesWithPictures,
  withReversedChannels,
} from './conditional-inputs.js';
import {
  forwardKinds,
  sizeKinds,
  tokenCounts,
  type ConditionalForwardOptions,
  type ConditionalSize,
} from './conditional-options.js';
import { hintPart, networkOf, partOf, PROMPT } from './conditional-parts.js';
import { LatentNetwork } from './latent-network.js';
import { latentFileKinds, type LatentFileOptions, readAndOpen } from './load-options.js';
import { checkedLoras, loraList, unetWithLoras, type LoraOptions } from './loras.js';
import { PreparedContext } from './prepared-context.js';
import { PreparedControl } from './prepared-control.js';
import { transposed } from './tokens.js';

/** Kind of lists of folders of ControlNets. @internal */
export const controlNetList = arrayOf('an array of paths', kinds.string);

/** Options of {@link ConditionalUNet.load}. */
export interface ConditionalUNetLoadOptions extends LatentFileOptions {
  /** True for the averaged weights of a training checkpoint in one file (`model_ema.*`). Default false. */
  ema?: boolean | undefined;
  /** Files of low-rank additions (LoRA), which are summed; what they have for text encoders is left out. Default none. */
  loras?: readonly LoraOptions[] | undefined;
  /** Folders of ControlNets in diffusers' layout. Default none. */
  controlNets?: readonly string[] | undefined;
}

const loadKinds: OptionKinds<ConditionalUNetLoadOptions> = {
  ...latentFileKinds,
  ema: kinds.boolean,
  loras: loraList,
  controlNets: controlNetList,
};

const controlSizeKinds = { height: kinds.positiveInteger, width: kinds.positiveInteger, signal: kinds.signal };

/** What pictures a ControlNet takes. */
export interface ControlFacts {
  /** Number of channels. */
  readonly channels: number;
  /** Number of pixels along each side of the states' pixels. */
  readonly factor: number;
}

const LARGEST_SIDE = 4096;

/** Bytes that a weight takes in the smallest of the forms in which networks multiply. */
const LEAST_WEIGHT_BYTES = 2;

const named = { who: 'ConditionalUNet.load', what: 'network' };

/**
 * Evaluates a U-Net once, and one of its heads with it, which has as many channels as the states.
 *
 * @internal
 */
export let predictWithHead: (
  unet: ConditionalUNet,
  x: Float32Array,
  t: number | ArrayLike<number>,
  options: ConditionalForwardOptions,
  head: HeadName | null,
) => Promise<{ out: Float32Array; head: Float32Array | null }>;

/** U-Net of latent diffusion that sees a text (`UNet2DConditionModel`), on a device, for states of any size. Close it when done. */
export class ConditionalUNet extends LatentNetwork {
  static {
    predictWithHead = (unet, ...rest) => unet.#predict(...rest);
  }

  /** Number of channels of the states. */
  readonly inChannels: number;
  /** Number of channels of the prediction. */
  readonly outChannels: number;
  /** Width of the states of a text's tokens. */
  readonly contextWidth: number;
  /** Side of the states where nothing else is said. */
  readonly sampleSize: number;
  /** True if the network sees pooled states of the text (SDXL). */
  readonly seesPooled: boolean;
  /** True if the network sees the weight of guidance (LCM). */
  readonly seesGuidance: boolean;
  /** Names of its variance heads, which samplers of {@link TextToImage} evaluate. */
  readonly heads: readonly HeadName[];
  /** What `npr` heads expect the squared error of. @internal */
  readonly headPrediction: HeadsConfig['prediction'];
  /** Its ControlNets. */
  readonly controlNets: readonly ControlFacts[];
  readonly #read: ReadConditional;
  /** Number of weights, without those of heads and ControlNets. */
  readonly parameters: number;
  readonly #contextChannels: number;

  private constructor(opened: OpenedDevice, read: ReadConditional) {
    const { description, checkpoint } = read;
    super({
      what: named.what,
      opened,
      checkpoint,
      network: (size) => networkOf(read, size),
    });
    this.#read = read;
    this.inChannels = description.inChannels;
    this.outChannels = description.outChannels;
    this.contextWidth = description.contextWidth;
    this.sampleSize = read.sampleSize;
    this.seesPooled = read.textTime !== null;
    this.seesGuidance = description.guidanceFeatures !== null;
    this.heads = [...(read.heads?.heads.keys() ?? [])];
    this.headPrediction = read.heads?.prediction ?? 'epsilon';
    this.controlNets = (description.controls ?? []).map(({ hint }) => {
      return { channels: hint.channels, factor: hintFactor(hint) };
    });
    this.#contextChannels = contextChannels(description);
    const own = [...checkpoint.tensors].filter(([name]) => isOfUNet(name));
    this.parameters = countElements(own.map(([, { shape }]) => shape));
  }

  /**
   * Loads a conditional U-Net.
   *
   * @param path - Path or file URL of a folder in diffusers' layout with the `config.json` and weights of a
   * `UNet2DConditionModel`: `unet/` of a pipeline; or of a file with the original's names, alone or of a whole model.
   * @throws {@link DpmError} naming the wrong file, tensor, field or device; `ERR_DPM_ABORTED` if aborted.
   */
  static async load(path: string | URL, options: ConditionalUNetLoadOptions = {}): Promise<ConditionalUNet> {
    checkOptions(named.who, options, loadKinds);
    const { config, ema, loras = [], controlNets = [], ...others } = options;
    const added = checkedLoras(loras);
    const folders = [...controlNets];
    const { opened, read } = await readAndOpen(named, path, others, async (found) =>
      unetWithLoras(await withControls(await readConditionalAt(found, { config, ema }), folders), added),
    );
    return new ConditionalUNet(opened, read);
  }

  /** Makes a U-Net that has been read. @internal */
  static on(opened: OpenedDevice, read: ReadConditional): ConditionalUNet {
    return new ConditionalUNet(opened, read);
  }

  /**
   * Computes the keys and values of contexts once, for any number of evaluations.
   *
   * @param context - States of the texts' tokens, [count, tokens, context width].
   * @param count - Number of contexts.
   * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` if they are not as many states.
   */
  async prepare(context: Float32Array, count: number): Promise<PreparedContext> {
    requireKind('context', context, kinds.floats);
    requireKind('count', count, kinds.positiveInteger);
    const tokens = context.length / count / this.contextWidth;
    if (!Number.isInteger(tokens) || tokens < 1) {
      throw new DpmError(
        'ERR_DPM_TENSOR_SHAPE',
        `the context has ${context.length} numbers, ${count} contexts of tokens of ${this.contextWidth} have others`,
      );
    }
    const maps = transposed(context, count, tokens);
    return this.networks.using({ part: PROMPT, height: tokens, width: 1 }, async (network) => {
      const data = new Float32Array(count * this.#contextChannels * tokens);
      await network.forward(count, maps, data);
      return new PreparedContext(this, count, tokens, data);
    });
  }

  /**
   * Computes what a ControlNet sees of pictures once, for any number of evaluations.
   *
   * @param index - Number of the ControlNet.
   * @param pictures - Pictures [count, channels, height, width] with values in [0, 1].
   * @param size - Sides of the pictures in pixels, multiples of the ControlNet's factor; `signal` aborts before the next picture.
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if there is no such ControlNet or for sides that no states have,
   * `ERR_DPM_TENSOR_SHAPE` if they are no whole pictures, `ERR_DPM_OUT_OF_MEMORY`, `ERR_DPM_ABORTED`.
   *
   * @example
   * ```ts
   * const picture = await unet.prepareControl(0, edges, { height: 512, width: 512 });
   * const out = await unet.forward(latents, 981, { height: 64, width: 64, context, controls: [{ picture, scale: 0.8 }] });
   * ```
   */
  async prepareControl(
    index: number,
    pictures: Float32Array,
    size: { height: number; width: number; signal?: AbortSignal | undefined },
  ): Promise<PreparedControl> {
    requireKind('index', index, integerBetween(0, Math.max(0, this.controlNets.length - 1)));
    const control = this.#read.description.controls?.[index];
    if (control === undefined) throw new DpmError('ERR_DPM_ARGUMENT', 'the network was loaded without ControlNets');
    requireKind('pictures', pictures, kinds.floats);
    checkOptions('prepareControl', size, controlSizeKinds);
    const { height, width, signal } = size;
    const { hint, encoder } = control;
    const factor = hintFactor(hint);
    const states = { height: height / factor, width: width / factor };
    for (const [name, side] of Object.entries(states)) {
      if (!Number.isInteger(side)) throw wrongValue(name, side * factor, `a multiple of ${factor}`);
    }
    requireSides(states.height, states.width);
    const count = checkedBatch(pictures.length, hint.channels * height * width);
    const given = hint.order === 'rgb' ? pictures.slice() : withReversedChannels(pictures, count, hint.channels);
    const part = { part: hintPart(index), height, width };
    const [from, to] = [given.length / count, at(encoder.levels, 0).channels * states.height * states.width];
    const { maps } = await this.networks.bytesFor(part, 1);
    const bytes = maps + count * to * Float32Array.BYTES_PER_ELEMENT;
    requireRoom(`${count} pictures of ${height} x ${width} that control`, bytes, 'take smaller ones, or fewer at once');
    return this.networks.using(part, async (network) => {
      const data = new Float32Array(count * to);
      // One after the other: maps of pictures take far more than those of states.
      for (let n = 0; n < count; ++n) {
        throwIfAborted(signal);
        await network.forward(1, given.subarray(n * from, (n + 1) * from), data.subarray(n * to, (n + 1) * to));
      }
      return new PreparedControl(this, { index, count, ...states }, data);
    });
  }

  /**
   * Evaluates the network once.
   *
   * @param x - States [N, channels, height, width], row-major; N follows from the number of elements.
   * @param t - Number that enters the time embedding, one for all samples or one each.
   * @returns Prediction [N, output channels, height, width].
   * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` or `ERR_DPM_ARGUMENT` if an argument does not fit the network.
   *
   * @example
   * ```ts
   * const { hidden } = await encoder.encode(tokenizer.tokenize('a photo of a cat').padded);
   * const out = await unet.forward(latents, 981, { height: 64, width: 64, context: hidden });
   * ```
   */
  async forward(
    x: Float32Array,
    t: number | ArrayLike<number>,
    options: ConditionalForwardOptions,
  ): Promise<Float32Array> {
    return (await this.#predict(x, t, options, null)).out;
  }

  async #predict(
    x: Float32Array,
    t: number | ArrayLike<number>,
    options: ConditionalForwardOptions,
    headName: HeadName | null,
  ): Promise<{ out: Float32Array; head: Float32Array | null }> {
    checkOptions('forward', options, forwardKinds);
    requireKind('x', x, kinds.floats);
    requireKind('t', t, networkTimes);
    const { height, width, context } = options;
    const batch = this.#batchOf(x, height, width);
    const { classes } = this.#read.description;
    const tensors = {
      times: checkedTimes(t, batch),
      labels: checkedLabels(classes, options.classLabels, batch),
      given: { added: addedVectors(this.#read, options, batch), guidance: guidanceVectors(this.#read, options, batch) },
    };
    const { contextIndices, controlIndices } = options;
    const indices = controlIndices === undefined ? null : checkedIndices('controlIndices', controlIndices, batch);
    const controls = checkedControls(options.controls ?? [], { network: this, height, width, batch, indices });
    const states = statesWithPictures(x, batch, controls, indices);
    const groups = contextIndices === undefined ? undefined : checkedIndices('contextIndices', contextIndices, batch);
    const count = groups === undefined ? batch : groups.reduce((most, index) => Math.max(most, index + 1), 0);
    const prepared = context instanceof PreparedContext ? context : await this.prepare(context, count);
    const isEnough = groups === undefined ? prepared.count === count : prepared.count >= count;
    if (prepared.network !== this || !isEnough) {
      throw new DpmError('ERR_DPM_ARGUMENT', `the context is not one that this network made for ${count} samples`);
    }
    const part = partOf({ tokens: prepared.tokens, head: headName, controlScales: scalesOf(controls) });
    return this.networks.using({ part, height, width }, async (network) => {
      const out = new Float32Array(batch * this.outChannels * height * width);
      const head = headName === null ? null : new Float32Array(x.length);
      const given = { ...tensors.given, ...(this.#contextChannels > 0 && { context: prepared.data, groups }) };
      await network.forward(batch, states, out, { ...tensors, given, ...(head !== null && { head }) });
      return { out, head };
    });
  }

  /**
   * Computes what evaluations take in memory: the packed weights and the maps. Loads the network for that size.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option; `ERR_DPM_OUT_OF_MEMORY` with the figure, before
   * weights are packed, where these alone do not fit into the memory of this machine.
   */
  async bytesFor(options: ConditionalSize): Promise<number> {
    checkOptions('bytesFor', options, sizeKinds);
    const { height, width, tokens = 77, batch = 1, contexts, head = null, controlScales = [] } = options;
    requireSides(height, width);
    if (controlScales.length > this.controlNets.length) {
      const own = this.controlNets.length;
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        `controlScales has ${controlScales.length} factors for ${own} ControlNets`,
      );
    }
    requireRoom('the weights of the U-Net', this.parameters * LEAST_WEIGHT_BYTES, 'take a network of fewer');
    const part = partOf({ tokens, head, controlScales: [...controlScales] });
    const { weights, maps } = await this.networks.bytesFor({ part, height, width }, batch, contexts);
    return weights + maps;
  }

  /**
   * Computes what {@link ConditionalUNet.prepare} takes in memory for one context: the packed weights, those of evaluations
   * included where they are loaded, and the maps.
   *
   * @param tokens - Number of the text's tokens.
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if it is none.
   */
  async promptBytesFor(tokens: number): Promise<number> {
    requireKind('tokens', tokens, tokenCounts);
    const { weights, maps } = await this.networks.bytesFor({ part: PROMPT, height: tokens, width: 1 }, 1);
    return weights + maps;
  }

  /** Frees the weights that contexts and pictures that control are prepared with, unless they are used now. */
  async releasePrompts(): Promise<void> {
    const hints = this.controlNets.map((_, index) => hintPart(index));
    await Promise.all([PROMPT, ...hints].map((part) => this.networks.release(part)));
  }

  #batchOf(x: Float32Array, height: number, width: number): number {
    requireSides(height, width);
    return checkedBatch(x.length, this.inChannels * height * width);
  }
}

function requireSides(height: number, width: number): void {
  if (height <= LARGEST_SIDE && width <= LARGEST_SIDE) return;
  throw new DpmError('ERR_DPM_ARGUMENT', `height and width are at most ${LARGEST_SIDE}, not ${height} and ${width}`);
}
