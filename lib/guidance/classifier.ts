import { elementCount } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { kindsOf, type OptionFacts } from '../base/option-facts.js';
import {
  checkOptions,
  either,
  instanceOf,
  kinds,
  numberOrNumbers,
  type OptionKinds,
  requireKind,
} from '../base/option-kinds.js';
import type { PixelRange } from '../base/pixel-range.js';
import { loadFeatures, loadNetwork, type NetworkOnDevice } from '../checkpoint/load-network.js';
import { Device, deviceOptionKinds, type DeviceOptions } from '../engine/device.js';
import { checkedBatch, checkedLabels } from '../engine/inputs.js';
import type { Network } from '../engine/network.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import { withNativeSource, type Guide } from './guide.js';

/** Options of {@link Classifier.load}. */
export interface ClassifierLoadOptions extends Omit<DeviceOptions, 'device'> {
  /**
   * Device by name, as in {@link DeviceOptions}, which the classifier opens and closes; or an open one, such as that of
   * the model that it will guide. An open device excludes the other options of devices.
   */
  device?: string | Device | undefined;
  /**
   * Configuration of a checkpoint file: a JSON or YAML file (`{ family: 'openai-classifier', … }` with the original's
   * own options), or the name of a preset such as `classifier-imagenet64`. Folders contain their own configuration.
   */
  config?: string | undefined;
  /** Signal that aborts loading before the next weight. */
  signal?: AbortSignal | undefined;
}

const loadOptionKinds: OptionKinds<ClassifierLoadOptions> = {
  ...deviceOptionKinds,
  device: either(kinds.string, instanceOf('a Device', Device)),
  config: kinds.string,
  signal: kinds.signal,
};

/** Options of {@link Classifier.guide}. */
export interface ClassifierGuideOptions {
  /** Class label for all samples, or one for each. */
  labels: number | ArrayLike<number>;
  /** Factor of the gradient. Default 1; published: 1 at 64 and 256 pixels a side, 0.5 at 128, 4 at 512, all class-conditional, 10 for the unconditional network at 256. */
  scale?: number | undefined;
}

/** Facts about each option of {@link ClassifierGuideOptions}. */
export const classifierGuideFacts = {
  labels: { kind: numberOrNumbers, help: 'the class that it guides to', value: 'LABEL' },
  scale: { kind: kinds.finite, help: 'what its gradient is multiplied by', standard: 1, value: 'W' },
} as const satisfies OptionFacts<ClassifierGuideOptions>;

const guideOptionKinds: OptionKinds<ClassifierGuideOptions> = kindsOf<ClassifierGuideOptions>(classifierGuideFacts);

/** Computes the logarithm of every class's probability for one sample. @internal */
export function logSoftmax(logits: ArrayLike<number>): Float64Array {
  const given = Float64Array.from(logits);
  const largest = given.reduce((most, logit) => Math.max(most, logit), -Infinity);
  const sum = given.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  return given.map((logit) => logit - largest - Math.log(sum));
}

/**
 * Classifier of noisy images, on a device: it tells the class of an image that still has noise, and how a noisy image
 * has to change to be more of a class. Close it when done.
 */
export class Classifier {
  /** Device of the classifier, which closes the device if it has opened it. */
  readonly device: Device;
  /** Number of classes K. */
  readonly classes: number;
  /** Shape [C, H, W] of one image. */
  readonly sampleShape: readonly [channels: number, height: number, width: number];
  /** Noise schedule that it was trained with. */
  readonly schedule: NoiseSchedule;
  /** Values of black and white in its images. */
  readonly range: PixelRange;
  readonly #network: Network;
  readonly #ownsDevice: boolean;

  readonly #loaded: NetworkOnDevice;
  #features: Promise<Network> | undefined;
  #isClosed = false;

  private constructor(loaded: NetworkOnDevice) {
    const { opened, folder, network } = loaded;
    this.#loaded = loaded;
    this.device = opened.device;
    this.#ownsDevice = opened.isOwn;
    this.#network = network;
    this.classes = network.info.outChannels;
    this.sampleShape = [network.info.inChannels, network.info.height, network.info.width];
    this.schedule = folder.schedule;
    this.range = folder.schedule.defaults.dataRange;
  }

  /**
   * Loads a classifier.
   *
   * @param path - The path or file URL of a folder with `config.json`, whose field `family` is `openai-classifier`, and
   * `model.safetensors`; or of a checkpoint file, with `config`.
   * @throws {@link DpmError} naming the wrong file, tensor, field or device; `ERR_DPM_ARGUMENT` for a diffusion model;
   * `ERR_DPM_UNSUPPORTED` for a pool of which there are no public weights; `ERR_DPM_ABORTED` when aborted.
   *
   * @example
   * ```ts
   * await using classifier = await Classifier.load('64x64_classifier.pt', { config: 'classifier-imagenet64', device: 'cpu' });
   * ```
   */
  static async load(path: string | URL, options: ClassifierLoadOptions = {}): Promise<Classifier> {
    checkOptions('Classifier.load', options, loadOptionKinds);
    const { config, signal, ...device } = options;
    return new Classifier(await loadNetwork('classifier', path, { reading: { config }, device, signal }));
  }

  /**
   * Evaluates the classifier once.
   *
   * @param x - Noisy images [N, C, H, W], row-major; N follows from the number of elements.
   * @param t - The network's time, one for all images or one each; n - 1 for step n of the noise schedule.
   * @returns Logits [N, K]: logarithms of the classes' probabilities, up to a constant of each image.
   * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` or `ERR_DPM_ARGUMENT` if an argument does not fit the classifier.
   *
   * @example
   * ```ts
   * const logits = await classifier.logits(images, 0);
   * ```
   */
  async logits(x: Float32Array, t: number | ArrayLike<number>): Promise<Float32Array> {
    requireKind('x', x, kinds.floats);
    return (await this.#network.forward(x, t)).out;
  }

  /**
   * Computes the gradient of log p(label | x, t) by x, which guides a sampler towards a class; each image has its own.
   * The network for it is made at the first call, with a second set of packed weights.
   *
   * @param x - Noisy images [N, C, H, W], row-major.
   * @param t - The network's time, one for all images or one each.
   * @param labels - Class labels, one for all images or one each.
   * @returns The gradient, [N, C, H, W].
   * @throws {@link DpmError} The errors of {@link Classifier.logits}; `ERR_DPM_ARGUMENT` for labels outside the
   * classes; `ERR_DPM_UNSUPPORTED` on a device that has no derivatives.
   *
   * @example
   * ```ts
   * const gradient = await classifier.gradient(states, 500, [3, 7]);
   * ```
   */
  async gradient(
    x: Float32Array,
    t: number | ArrayLike<number>,
    labels: number | ArrayLike<number>,
  ): Promise<Float32Array> {
    requireKind('x', x, kinds.floats);
    requireKind('labels', labels, numberOrNumbers);
    const batch = checkedBatch(x.length, elementCount(this.sampleShape));
    return this.#network.labelScore(x, t, this.#checkedLabels(labels, batch));
  }

  /**
   * Makes a guide of a diffusion model towards classes (Dhariwal & Nichol 2021), for the option `guides`: `scale` times
   * {@link Classifier.gradient}.
   *
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option. The guide: those of
   * {@link Classifier.gradient}.
   *
   * @example
   * ```ts
   * const guides = [classifier.guide({ labels: 3, scale: 2 })];
   * const { images } = await model.sample({ sampler: 'ddim', steps: 25, count: 8, guides });
   * ```
   */
  guide(options: ClassifierGuideOptions): Guide {
    checkOptions('guide', options, guideOptionKinds);
    const { labels, scale = classifierGuideFacts.scale.standard } = options;
    requireKind('labels', labels, numberOrNumbers);
    const own = typeof labels === 'number' ? labels : Array.from(labels);
    const labelsOf = (first: number, count: number): Int32Array => this.#labelsOf(own, first, count);
    const guide: Guide = async (x, t, first) => {
      const gradient = await this.gradient(x, t, labelsOf(first, t.length));
      return gradient.map((value) => scale * value);
    };
    return withNativeSource(guide, {
      device: this.device,
      sampleShape: this.sampleShape,
      scale,
      labels: labelsOf,
      network: () => this.#network.derivative('label-score'),
    });
  }

  /** Lists the classes of some samples, from one for all or one for each. */
  #labelsOf(labels: number | readonly number[], first: number, count: number): Int32Array {
    if (typeof labels !== 'number' && labels.length < first + count) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        `the labels of a guide are ${labels.length}, there are ${first + count} samples`,
      );
    }
    return this.#checkedLabels(typeof labels === 'number' ? labels : labels.slice(first, first + count), count);
  }

  #checkedLabels(labels: number | ArrayLike<number>, count: number): Int32Array {
    const given = typeof labels === 'number' ? new Array<number>(count).fill(labels) : labels;
    return checkedLabels(this.classes, given, count) ?? new Int32Array(count);
  }

  /** Loads, when first needed, the network of the middle block's output, [N, C', H', W']. @internal */
  async features(): Promise<Network> {
    if (this.#isClosed) throw new DpmError('ERR_DPM_CLOSED', 'the classifier is closed');
    if (this.#features === undefined) {
      this.#features = loadFeatures(this.#loaded);
      this.#features.catch(() => (this.#features = undefined));
    }
    return this.#features;
  }

  /** Waits for running work and releases everything. Can be called again. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#ownsDevice) await this.device.close();
    await this.#network.close();
    await this.#features?.then((features) => features.close()).catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
