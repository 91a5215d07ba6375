import { elementCount } from '../base/arrays.js';
import { abortable } from '../base/abort.js';
import { DpmError, nativeWork } from '../base/errors.js';
import { checkOptions, either, instanceOf, kinds, type OptionKinds, requireKind } from '../base/option-kinds.js';
import type { UNetDescription } from '../network/description.js';
import { native } from './addon.js';
import type { NativeGraph, NativeNetwork } from './binding.js';
import type { Device } from './device.js';
import { DeviceTensor } from './device.js';
import { checkedBatch, checkedLabels, checkedTimes, networkTimes } from './inputs.js';

/** A batch of states or predictions: values in main memory or a tensor on the network's device. */
export type TensorLike = Float32Array | DeviceTensor;

/** Options of {@link UNet.forward}. */
export interface ForwardOptions<T extends TensorLike> {
  /** One label per sample, for a class-conditional network. */
  classLabels?: ArrayLike<number> | undefined;
  /** Receives the prediction; nothing is allocated then. */
  out?: T | undefined;
  /** Receives the second output. */
  head?: T | undefined;
}

const tensorLike = either(kinds.floats, instanceOf('a DeviceTensor', DeviceTensor));

const forwardOptionKinds: OptionKinds<ForwardOptions<TensorLike>> = {
  classLabels: kinds.numbers,
  out: tensorLike,
  head: tensorLike,
};

/** Outputs of one evaluation: all output channels, and the second output where the network has one. */
export interface ForwardResult<T extends TensorLike> {
  /** The prediction, [batch, output channels, H, W]. */
  out: T;
  /** The second output, [batch, head channels, H, W]; null where the network has none. */
  head: T | null;
}

/** What a network is, from its configuration. */
export interface NetworkInfo {
  /** Channels of the image. */
  inChannels: number;
  /** Channels of the prediction; twice those of the image where the variance is learned. */
  outChannels: number;
  /** Height of the image in pixels. */
  height: number;
  /** Width of the image in pixels. */
  width: number;
  /** Number of classes; 0: not class-conditional. */
  classes: number;
  /** Numbers that were learned. */
  parameters: number;
  /** Multiply-adds of convolutions, linear layers and attention for one image. */
  multiplyAdds: number;
  /** What the device has packed the weights into, in bytes; for some algorithms it is several times the checkpoint. */
  weightBytes: number;
}

/** A U-Net on a device. */
export class UNet {
  /** The device the network is on. */
  readonly device: Device;
  /** Its sizes and costs. */
  readonly info: NetworkInfo;
  readonly #network: NativeNetwork;
  readonly #headChannels: number;

  private constructor(device: Device, network: NativeNetwork, description: UNetDescription) {
    this.device = device;
    this.#network = network;
    this.#headChannels = description.head?.outChannels ?? 0;
    const { inChannels, outChannels, height, width, classes } = description;
    const { parameters, multiplyAdds, weightBytes } = network.info;
    this.info = { inChannels, outChannels, height, width, classes, parameters, multiplyAdds, weightBytes };
  }

  /** Loads the graph of a description. @internal */
  static async load(
    device: Device,
    description: UNetDescription,
    graph: NativeGraph,
    signal?: AbortSignal,
  ): Promise<UNet> {
    const { classes, divisor = null } = description;
    const { CancelToken } = native();
    const cancel = new CancelToken();
    const network = await abortable(
      signal,
      () => {
        cancel.cancel();
      },
      () => nativeWork(() => device.engine.loadNetwork(graph, { classes, divisor }, cancel)),
    );
    return new UNet(device, network, description);
  }

  /** @internal */
  get native(): NativeNetwork {
    return this.#network;
  }

  /** Releases the weights once work in flight is done. @internal */
  async close(): Promise<void> {
    await nativeWork(() => this.#network.close());
  }

  /** Whether {@link UNet.forward} gives a second output. */
  get hasHead(): boolean {
    return this.#headChannels > 0;
  }

  /**
   * One evaluation.
   *
   * @param x - States [batch, C, H, W], row-major; the batch follows from the number of elements.
   * @param t - The number that enters the time embedding, one for all samples or one per sample.
   * @returns `out` [batch, all output channels, H, W] and `head` [batch, head channels, H, W] or null, of the same kind as `x`.
   * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` or `ERR_DPM_ARGUMENT` when an argument does not fit the network.
   *
   * @example
   * ```ts
   * const { out } = await model.unet.forward(states, 500);
   * ```
   */
  async forward<T extends TensorLike>(
    x: T,
    t: number | ArrayLike<number>,
    options: ForwardOptions<T> = {},
  ): Promise<ForwardResult<T>> {
    checkOptions('forward', options, forwardOptionKinds);
    const { batch, times, labels } = this.#checkedInputs(x, t, options);
    const out = this.#receiver('out', x, options.out, batch, this.info.outChannels);
    const head = this.hasHead ? this.#receiver('head', x, options.head, batch, this.#headChannels) : null;
    const values = (tensor: TensorLike) => (tensor instanceof DeviceTensor ? tensor.native : tensor);
    await nativeWork(() =>
      this.#network.forward(batch, values(x), times, labels, values(out), head === null ? null : values(head)),
    );
    return { out, head };
  }

  /** Class labels as the engine takes them, checked. */
  labels(classLabels: ArrayLike<number> | undefined, batch: number): Int32Array | null {
    return checkedLabels(this.info.classes, classLabels, batch);
  }

  #shape(batch: number, channels: number): number[] {
    return [batch, channels, this.info.height, this.info.width];
  }

  #checkedInputs(x: TensorLike, t: number | ArrayLike<number>, options: ForwardOptions<TensorLike>) {
    requireKind('x', x, tensorLike);
    requireKind('t', t, networkTimes);
    const elements = x instanceof DeviceTensor ? x.elements : x.length;
    const batch = checkedBatch(elements, elementCount(this.#shape(1, this.info.inChannels)));
    if (x instanceof DeviceTensor && x.device !== this.device) {
      throw new DpmError('ERR_DPM_ARGUMENT', 'x lies on another device than the network');
    }
    const times = checkedTimes(t, batch);
    return { batch, times, labels: this.labels(options.classLabels, batch) };
  }

  #receiver<T extends TensorLike>(name: string, x: T, given: T | undefined, batch: number, channels: number): T {
    const shape = this.#shape(batch, channels);
    if (given === undefined) {
      const created: TensorLike =
        x instanceof DeviceTensor ? this.device.tensor(shape) : new Float32Array(elementCount(shape));
      return created as T;
    }
    const elements = given instanceof DeviceTensor ? given.elements : given.length;
    if (elements !== elementCount(shape) || (given instanceof DeviceTensor && given.device !== this.device)) {
      throw new DpmError(
        'ERR_DPM_TENSOR_SHAPE',
        `${name} has ${elements} elements, it has to be [${shape.join(', ')}] on the network's device`,
      );
    }
    return given;
  }
}
