import { elementCount } from './arrays.js';
import type { Device } from './device.js';
import { DpmError, nativeWork } from './errors.js';
import type { Evaluator } from './evaluator.js';
import type { Guidance } from './guidance.js';
import type { NativeNetwork, NativeUNet } from './native.js';
import { linear, stepRecord } from './samplers/builder.js';
import { DeviceTensor } from './tensor.js';
import { update } from './update.js';

/** A batch of states or predictions: values in main memory or a tensor on the network's device. */
export type TensorLike = Float32Array | DeviceTensor;

export interface ForwardOptions<T extends TensorLike> {
  /** One label per sample, for a class-conditional network. */
  classLabels?: ArrayLike<number> | undefined;
  /** Receives the prediction; nothing is allocated then. */
  out?: T | undefined;
  /** Receives the second output. */
  head?: T | undefined;
}

/** Outputs of one evaluation: all output channels, and the second output where the network has one. */
export interface ForwardResult<T extends TensorLike> {
  out: T;
  head: T | null;
}

/** What a network is, from its configuration. */
export interface NetworkInfo {
  inChannels: number;
  outChannels: number;
  height: number;
  width: number;
  /** Number of classes; 0: not class-conditional. */
  classes: number;
  parameters: number;
  /** Multiply-adds of convolutions, linear layers and attention for one image. */
  multiplyAdds: number;
  /** What the device has packed the weights into, in bytes; for some algorithms it is several times the checkpoint. */
  weightBytes: number;
}

/** A U-Net on a device. */
export class UNet {
  readonly device: Device;
  readonly info: NetworkInfo;
  readonly #network: NativeNetwork;
  readonly #headChannels: number;

  /** @internal */
  constructor(device: Device, network: NativeNetwork, description: NativeUNet) {
    this.device = device;
    this.#network = network;
    this.#headChannels = description.head?.outChannels ?? 0;
    const { inChannels, outChannels, height, width, classes } = description;
    const { parameters, multiplyAdds, weightBytes } = network.info;
    this.info = { inChannels, outChannels, height, width, classes, parameters, multiplyAdds, weightBytes };
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
   */
  async forward<T extends TensorLike>(
    x: T,
    t: number | ArrayLike<number>,
    options: ForwardOptions<T> = {},
  ): Promise<ForwardResult<T>> {
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
    const { classes } = this.info;
    if (classLabels === undefined) {
      if (classes > 0) throw new DpmError('ERR_DPM_ARGUMENT', `the network has ${classes} classes: give classLabels`);
      return null;
    }
    if (classes === 0)
      throw new DpmError('ERR_DPM_ARGUMENT', 'the network is not class-conditional: leave classLabels out');
    const labels = Array.from(classLabels);
    if (labels.length !== batch) {
      throw new DpmError('ERR_DPM_ARGUMENT', `classLabels has ${labels.length} labels for ${batch} samples`);
    }
    for (const label of labels) {
      if (!Number.isInteger(label) || label < 0 || label >= classes) {
        throw new DpmError('ERR_DPM_ARGUMENT', `class label ${label} is outside 0..${classes - 1}`);
      }
    }
    return Int32Array.from(labels);
  }

  #shape(batch: number, channels: number): number[] {
    return [batch, channels, this.info.height, this.info.width];
  }

  #checkedInputs(x: TensorLike, t: number | ArrayLike<number>, options: ForwardOptions<TensorLike>) {
    const elements = x instanceof DeviceTensor ? x.elements : x.length;
    const perSample = elementCount(this.#shape(1, this.info.inChannels));
    const batch = elements / perSample;
    if (!Number.isInteger(batch) || batch < 1) {
      throw new DpmError('ERR_DPM_TENSOR_SHAPE', `x has ${elements} elements, a sample has ${perSample}`);
    }
    if (x instanceof DeviceTensor && x.device !== this.device) {
      throw new DpmError('ERR_DPM_ARGUMENT', 'x lies on another device than the network');
    }
    const times = typeof t === 'number' ? new Float32Array(batch).fill(t) : Float32Array.from(t);
    if (times.length !== batch)
      throw new DpmError('ERR_DPM_ARGUMENT', `t has ${times.length} times for ${batch} samples`);
    if (!times.every(Number.isFinite)) throw new DpmError('ERR_DPM_ARGUMENT', 't has to consist of finite numbers');
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

/** A native network as the evaluator of host programs; a learned range becomes the second output. */
export class NetworkEvaluator implements Evaluator {
  readonly #unet: UNet;
  readonly #labels: Int32Array | null;
  readonly #guidance: Guidance | null;
  readonly #splits: boolean;

  constructor(unet: UNet, labels: Int32Array | null, guidance: Guidance | null = null) {
    this.#unet = unet;
    // As in the native loop, a weight of 0 leaves the unconditional evaluation alone, its second output too.
    this.#labels =
      guidance === null || labels === null
        ? labels
        : labels.map((label, i) => (guidance.weights[i] === 0 ? guidance.unconditionalLabel : label));
    this.#guidance = guidance;
    this.#splits = unet.info.outChannels !== unet.info.inChannels;
  }

  async evaluate(
    input: DeviceTensor,
    times: Float32Array,
    output: DeviceTensor,
    head: DeviceTensor | null,
  ): Promise<void> {
    await this.#predict(input, times, this.#labels, output, head);
    if (this.#guidance === null) return;
    const { weights, unconditionalLabel } = this.#guidance;
    const unconditional = this.#unet.device.tensor(output.shape);
    try {
      await this.#predict(input, times, new Int32Array(times.length).fill(unconditionalLabel), unconditional, null);
      const mixes = Array.from(weights, (weight) => stepRecord({ time: 0, x: linear({ x: weight, y: 1 - weight }) }));
      await update(mixes, { x: output, y: unconditional });
    } finally {
      unconditional.free();
    }
  }

  async #predict(
    input: DeviceTensor,
    times: Float32Array,
    labels: Int32Array | null,
    output: DeviceTensor,
    head: DeviceTensor | null,
  ): Promise<void> {
    if (this.#splits) {
      await this.#predictSplit(input, times, labels, output, head);
      return;
    }
    const unused = head === null && this.#unet.hasHead ? this.#unet.device.tensor(output.shape) : null;
    const second = head ?? unused;
    const batch = times.length;
    await nativeWork(() =>
      this.#unet.native.forward(batch, input.native, times, labels, output.native, second?.native ?? null),
    ).finally(() => unused?.free());
  }

  /** Through main memory: the two halves of the channels lie interleaved by sample. */
  async #predictSplit(
    input: DeviceTensor,
    times: Float32Array,
    labels: Int32Array | null,
    output: DeviceTensor,
    head: DeviceTensor | null,
  ): Promise<void> {
    const batch = times.length;
    const half = output.elements / batch;
    const both = new Float32Array(2 * output.elements);
    const x = await input.read();
    await nativeWork(() => this.#unet.native.forward(batch, x, times, labels, both, null));
    const part = (offset: number): Float32Array => {
      const values = new Float32Array(output.elements);
      for (let sample = 0; sample < batch; ++sample) {
        const start = (2 * sample + offset) * half;
        values.set(both.subarray(start, start + half), sample * half);
      }
      return values;
    };
    await output.write(part(0));
    await head?.write(part(1));
  }
}
