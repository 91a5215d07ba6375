import { elementCount } from '../base/arrays.js';
import { unknownName } from '../base/checks.js';
import { Closing } from '../base/closing.js';
import { DpmError, nativeWork } from '../base/errors.js';
import { checkOptions, requireKind } from '../base/option-kinds.js';
import type { UNetDescription } from '../network/description.js';
import type { NativeDerivative, NativeNetwork, NativeTensorLike, RecomputePolicy } from './binding.js';
import { cancellable } from './cancellable.js';
import { CheckpointTensors } from './checkpoint-tensors.js';
import { type DerivativeChoice, DerivedNetworks } from './derived-networks.js';
import type { Device } from './device.js';
import { DeviceTensor } from './device.js';
import {
  type ForwardOptions,
  forwardOptionKinds,
  type ForwardResult,
  gradientsKinds,
  type GradientsOptions,
  type GradientsResult,
  pullbackKinds,
  type PullbackOptions,
  type PullbackResult,
  pushforwardKinds,
  type PushforwardOptions,
  type PushforwardResult,
  recomputeFact,
  recomputePolicies,
  type TensorLike,
  tensorLike,
} from './evaluation.js';
import { Held, requireApart } from './held.js';
import { checkedBatch, checkedLabels, checkedTimes, networkTimes } from './inputs.js';
import type { NativeGraph } from './native-graph.js';

/** Facts about a network, from its configuration. */
export interface NetworkInfo {
  /** Number of channels of the image. */
  inChannels: number;
  /** Number of channels of the prediction; twice those of the image if the variance is learned. */
  outChannels: number;
  /** Height of the image in pixels. */
  height: number;
  /** Width of the image in pixels. */
  width: number;
  /** Number of classes; 0: not class-conditional. */
  classes: number;
  /** Number of learned parameters. */
  parameters: number;
  /** Number of multiply-adds of convolutions, linear layers and attention for one image. */
  multiplyAdds: number;
  /**
   * Bytes of the weights as the device has packed them; for some algorithms several times the checkpoint. Weights that
   * another network of the same files has packed on this device are counted there alone.
   */
  weightBytes: number;
}

function values(tensor: TensorLike): NativeTensorLike {
  return tensor instanceof DeviceTensor ? tensor.native : tensor;
}

function valuesOrNull(tensor: TensorLike | null): NativeTensorLike | null {
  return tensor === null ? null : values(tensor);
}

/** Network on a device; its public name is `UNet`. */
export class Network {
  /** Device of the network. */
  readonly device: Device;
  /** Sizes and costs of the network. */
  readonly info: NetworkInfo;
  readonly #network: NativeNetwork;
  readonly #headChannels: number;
  /** Height and width of the outputs: those of the image, of features, or one pixel of logits. */
  readonly #outSides: readonly [height: number, width: number];
  readonly #tensors: CheckpointTensors;
  readonly #derivatives: DerivedNetworks;
  readonly #closing = new Closing('network');

  private constructor(
    device: Device,
    network: NativeNetwork,
    description: UNetDescription,
    outSides: readonly [height: number, width: number],
    tensors: CheckpointTensors,
    derivatives: DerivedNetworks,
  ) {
    this.device = device;
    this.#network = network;
    this.#tensors = tensors;
    this.#derivatives = derivatives;
    this.#headChannels = description.head?.outChannels ?? 0;
    const { inChannels, outChannels, height, width, classes } = description;
    this.#outSides = outSides;
    const { parameters, multiplyAdds, weightBytes } = network.info;
    this.info = { inChannels, outChannels, height, width, classes, parameters, multiplyAdds, weightBytes };
  }

  /**
   * Loads the graph of a description.
   *
   * @param weightsOf - Network of the same files, whose weights must not have changed since.
   * @internal
   */
  static async load(
    device: Device,
    description: UNetDescription,
    graph: NativeGraph,
    { signal, weightsOf }: { signal?: AbortSignal | undefined; weightsOf?: Network } = {},
  ): Promise<Network> {
    const { classes, divisor = null } = description;
    const options = { classes, divisor, ...(weightsOf !== undefined && { weightsOf: weightsOf.native }) };
    const network = await cancellable(signal, (cancel) =>
      nativeWork(() => device.engine.loadNetwork(graph, options, cancel)),
    );
    const output = graph.values.find(({ binding }) => binding === 'output');
    const sides = [output?.height ?? description.height, output?.width ?? description.width] as const;
    const tensors = new CheckpointTensors(graph.constants);
    const derivatives = new DerivedNetworks(({ learned = [], ...choice }) => {
      // A classifier's labels are the classes that it distinguishes.
      const labels = choice.derivative === 'label-score' ? description.outChannels : classes;
      const derived = { classes: labels, divisor, ...choice, learned, weightsOf: network };
      return nativeWork(() => device.engine.loadNetwork(graph, derived));
    });
    return new Network(device, network, description, sides, tensors, derivatives);
  }

  /** @internal */
  get native(): NativeNetwork {
    return this.#network;
  }

  /** Waits for a caller's function; rejects with `ERR_DPM_CLOSED` once the network or device is closed. @internal */
  whileOpen<T>(work: () => T | Promise<T>): Promise<T> {
    return this.device.whileOpen(() => this.#closing.during(work));
  }

  /** Releases the weights once work in progress is done; rejects waits for functions written in JavaScript. @internal */
  async close(): Promise<void> {
    this.#closing.close();
    await this.#derivatives.close();
    await nativeWork(() => this.#network.close());
  }

  /** Shapes of the tensors of the checkpoint that the network is made of, by their names there. */
  get tensors(): ReadonlyMap<string, readonly number[]> {
    return this.#tensors.shapes;
  }

  /** Number of channels of the second output; 0: there is none. */
  get headChannels(): number {
    return this.#headChannels;
  }

  /** True if {@link Network.forward | UNet.forward} gives a second output. */
  get hasHead(): boolean {
    return this.#headChannels > 0;
  }

  /**
   * Evaluates the network once.
   *
   * @param x - States [batch, C, H, W], row-major; the batch follows from the number of elements.
   * @param t - Number that enters the time embedding, one for all samples or one per sample.
   * @returns `out` [batch, all output channels, H, W] and `head` [batch, head channels, H, W] or null, of the same kind
   * as `x`.
   * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` or `ERR_DPM_ARGUMENT` if an argument does not fit the network.
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
    const { out, head } = this.#outputs(x, batch, options);
    requireApart({ x }, { out, head });
    await nativeWork(() => this.#network.forward(batch, values(x), times, labels, values(out), valuesOrNull(head)));
    return { out, head };
  }

  /**
   * Evaluates the network once, and pulls cotangents of the outputs back to the states (the derivative in reverse), per
   * sample. The network for it is made at the first call, from the weights' files; it packs the transposed weights, and shares
   * the others with this network.
   *
   * @param x - States [batch, C, H, W], row-major; the batch follows from the number of elements.
   * @param t - Number that enters the time embedding, one for all samples or one per sample.
   * @throws {@link DpmError} The errors of {@link Network.forward | UNet.forward}; `ERR_DPM_ARGUMENT` without a
   * cotangent; `ERR_DPM_UNSUPPORTED` on a device without derivatives.
   *
   * @example
   * ```ts
   * const { out, gradient } = await model.unet.pullback(states, 500, { cotangent });
   * ```
   */
  async pullback<T extends TensorLike>(
    x: T,
    t: number | ArrayLike<number>,
    options: PullbackOptions<T>,
  ): Promise<PullbackResult<T>> {
    checkOptions('pullback', options, pullbackKinds);
    const { batch, times, labels } = this.#checkedInputs(x, t, options);
    const { outCotangent, ofHead, recompute } = this.#checkedCotangents('pullback', x, batch, options);
    using held = new Held();
    const [image, ofOut, ofSecond] = [held.input(x), held.input(outCotangent), ofHead && held.input(ofHead)];
    const { out, head } = this.#outputs(x, batch, options);
    const gradient = this.#receiver('gradient', x, options.gradient, this.#imageShape(batch));
    requireApart({ x, cotangent: outCotangent, headCotangent: ofHead }, { out, head, gradient });
    const [toOut, toHead, toGradient] = [held.output(out), head && held.output(head), held.output(gradient)];
    const tensors = { outCotangent: ofOut, headCotangent: ofSecond, imageCotangent: toGradient };
    const network = await this.derivative('pullback', recompute);
    await nativeWork(() => network.forward(batch, image, times, labels, toOut, toHead, tensors));
    return { out, head, gradient };
  }

  /**
   * Evaluates the network once, and pulls cotangents of the outputs back to the weights: gradients of the sum of cotangent
   * times output over all samples, the gradients of a loss if the cotangents are its derivatives by the outputs. The
   * network for each choice of tensors is made at the first call, from the weights' files.
   *
   * @param x - States [batch, C, H, W], row-major; the batch follows from the number of elements.
   * @param t - Number that enters the time embedding, one for all samples or one per sample.
   * @throws {@link DpmError} The errors of {@link Network.forward | UNet.forward}; `ERR_DPM_ARGUMENT` without a
   * cotangent, and naming a tensor that the network does not have; `ERR_DPM_UNSUPPORTED` naming a tensor without a
   * gradient (frequencies of time embeddings), or the device if it has no gradients of weights.
   *
   * @example
   * ```ts
   * const { tensors } = await model.unet.gradients(states, 500, { cotangent });
   * const ofFirst = tensors.get('conv_in.weight');
   * ```
   */
  async gradients<T extends TensorLike>(
    x: T,
    t: number | ArrayLike<number>,
    options: GradientsOptions<T>,
  ): Promise<GradientsResult<T>> {
    checkOptions('gradients', options, gradientsKinds);
    const { batch, times, labels } = this.#checkedInputs(x, t, options);
    const { outCotangent, ofHead, recompute } = this.#checkedCotangents('gradients', x, batch, options);
    if (options.tensors?.length === 0) throw new DpmError('ERR_DPM_ARGUMENT', 'tensors names none');
    const learned = options.tensors && this.#tensors.constantsOf(options.tensors);
    using held = new Held();
    const [states, ofOut, ofSecond] = [held.input(x), held.input(outCotangent), ofHead && held.input(ofHead)];
    const { out, head } = this.#outputs(x, batch, options);
    const gradient = options.image === true ? this.#receiver('gradient', x, undefined, this.#imageShape(batch)) : null;
    requireApart({ x, cotangent: outCotangent, headCotangent: ofHead }, { out, head });
    const [toOut, toHead, toImage] = [held.output(out), head && held.output(head), gradient && held.output(gradient)];
    const network = await this.#derived({ derivative: 'weights', recompute, learned, pullsToImage: toImage !== null });
    const { elements, places } = network.gradients();
    const gradients = new Float32Array(elements);
    const given = { outCotangent: ofOut, headCotangent: ofSecond, imageCotangent: toImage, gradients };
    await nativeWork(() => network.forward(batch, states, times, labels, toOut, toHead, given));
    return { out, head, gradient, tensors: this.#tensors.gathered(gradients, places) };
  }

  /**
   * Evaluates the network once, and its derivative along a tangent of the states. Keeps nothing for it. The network for it
   * is made at the first call and shares this one's packed weights.
   *
   * @param x - States [batch, C, H, W], row-major; the batch follows from the number of elements.
   * @param t - Number that enters the time embedding, one for all samples or one per sample.
   * @throws {@link DpmError} The errors of {@link Network.forward | UNet.forward}; `ERR_DPM_UNSUPPORTED` on a device
   * without derivatives.
   *
   * @example
   * ```ts
   * const { out, tangent } = await model.unet.pushforward(states, 500, { tangent: direction });
   * ```
   */
  async pushforward<T extends TensorLike>(
    x: T,
    t: number | ArrayLike<number>,
    options: PushforwardOptions<T>,
  ): Promise<PushforwardResult<T>> {
    checkOptions('pushforward', options, pushforwardKinds);
    requireKind('tangent', options.tangent, tensorLike);
    const { batch, times, labels } = this.#checkedInputs(x, t, options);
    const imageTangent = this.#given('tangent', x, options.tangent, this.#imageShape(batch));
    using held = new Held();
    const [image, along] = [held.input(x), held.input(imageTangent)];
    const { out, head } = this.#outputs(x, batch, options);
    const tangent = this.#receiver('outTangent', x, options.outTangent, this.#outShape(batch));
    const headTangent = this.hasHead ? this.#receiver('headTangent', x, undefined, this.#headShape(batch)) : null;
    requireApart({ x, tangent: imageTangent }, { out, head, outTangent: tangent });
    const [toOut, toHead] = [held.output(out), head && held.output(head)];
    const [toTangent, toSecond] = [held.output(tangent), headTangent && held.output(headTangent)];
    const tensors = { imageTangent: along, outTangent: toTangent, headTangent: toSecond };
    const network = await this.derivative('pushforward');
    await nativeWork(() => network.forward(batch, image, times, labels, toOut, toHead, tensors));
    return { out, head, tangent, headTangent };
  }

  /**
   * Computes the derivative of ln p(label) by the states, [batch, C, H, W], for a classifier, whose outputs are logits.
   *
   * @param labels - Labels from {@link checkedLabels}.
   * @internal
   */
  async labelScore(x: Float32Array, t: number | ArrayLike<number>, labels: Int32Array): Promise<Float32Array> {
    const { batch, times } = this.#checkedInputs(x, t, {});
    const image = new Float32Array(x);
    const { out } = this.#outputs(x, batch, {});
    const gradient = new Float32Array(x.length);
    const network = await this.derivative('label-score');
    await nativeWork(() => network.forward(batch, image, times, labels, out, null, { imageCotangent: gradient }));
    return gradient;
  }

  /** Checks class labels and returns them in the engine's form. */
  labels(classLabels: ArrayLike<number> | undefined, batch: number): Int32Array | null {
    return checkedLabels(this.info.classes, classLabels, batch);
  }

  /** Loads the network with a derivative when it is first needed. @internal */
  derivative(
    derivative: NativeDerivative,
    recompute: RecomputePolicy = recomputeFact.standard,
  ): Promise<NativeNetwork> {
    return this.#derived({ derivative, recompute });
  }

  async #derived(choice: DerivativeChoice): Promise<NativeNetwork> {
    this.#closing.requireOpen();
    return this.#derivatives.get(choice);
  }

  #checkedCotangents(
    what: string,
    x: TensorLike,
    batch: number,
    { cotangent, headCotangent, recompute = recomputeFact.standard }: Omit<PullbackOptions<TensorLike>, 'gradient'>,
  ): { outCotangent: TensorLike; ofHead: TensorLike | null; recompute: RecomputePolicy } {
    if (!recomputePolicies.includes(recompute)) throw unknownName('recompute', recompute, recomputePolicies);
    if (cotangent === undefined && headCotangent === undefined) {
      throw new DpmError('ERR_DPM_ARGUMENT', `${what} takes a cotangent`);
    }
    if (headCotangent !== undefined && !this.hasHead) {
      throw new DpmError('ERR_DPM_ARGUMENT', 'headCotangent is for networks with a second output, this one has none');
    }
    const outCotangent = this.#given('cotangent', x, cotangent, this.#outShape(batch));
    const ofHead = this.hasHead ? this.#given('headCotangent', x, headCotangent, this.#headShape(batch)) : null;
    return { outCotangent, ofHead, recompute };
  }

  #outputs<T extends TensorLike>(x: T, batch: number, options: ForwardOptions<T>): ForwardResult<T> {
    const out = this.#receiver('out', x, options.out, this.#outShape(batch));
    const head = this.hasHead ? this.#receiver('head', x, options.head, this.#headShape(batch)) : null;
    return { out, head };
  }

  /** Returns the caller's tensor, or zeros if there is none. */
  #given(name: string, x: TensorLike, tensor: TensorLike | undefined, shape: number[]): TensorLike {
    if (tensor === undefined) return new Float32Array(elementCount(shape));
    if (x instanceof DeviceTensor !== tensor instanceof DeviceTensor) {
      throw new DpmError('ERR_DPM_ARGUMENT', `${name} and x have to be of one kind: both arrays or both tensors`);
    }
    return this.#receiver(name, x, tensor, shape);
  }

  #imageShape(batch: number): number[] {
    return [batch, this.info.inChannels, this.info.height, this.info.width];
  }

  #outShape(batch: number): number[] {
    return [batch, this.info.outChannels, ...this.#outSides];
  }

  #headShape(batch: number): number[] {
    return [batch, this.#headChannels, ...this.#outSides];
  }

  #checkedInputs(x: TensorLike, t: number | ArrayLike<number>, options: ForwardOptions<TensorLike>) {
    requireKind('x', x, tensorLike);
    requireKind('t', t, networkTimes);
    const elements = x instanceof DeviceTensor ? x.elements : x.length;
    const batch = checkedBatch(elements, elementCount(this.#imageShape(1)));
    if (x instanceof DeviceTensor && x.device !== this.device) {
      throw new DpmError('ERR_DPM_ARGUMENT', 'x lies on another device than the network');
    }
    const times = checkedTimes(t, batch);
    return { batch, times, labels: this.labels(options.classLabels, batch) };
  }

  #receiver<T extends TensorLike>(name: string, x: T, given: T | undefined, shape: number[]): T {
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
