import { nativeWork } from '../base/errors.js';
import type { NativeGivenTensors, NativeNetwork } from './binding.js';
import { cancellable } from './cancellable.js';
import type { Device } from './device.js';
import type { NativeGraph } from './native-graph.js';

/** What an evaluation takes and fills beside its input and output. */
export interface MapNetworkTensors {
  /** Second output. */
  readonly head?: Float32Array;
  /** Time of each map. Default 0. */
  readonly times?: Float32Array;
  /** Label of each map, for a network with classes. */
  readonly labels?: Int32Array | null;
  /** What the network sees beside its input. */
  readonly given?: NativeGivenTensors;
}

/** Network on a device whose caller makes its inputs: half of an autoencoder, a text encoder, a conditional U-Net. */
export class MapNetwork {
  readonly #network: NativeNetwork;

  private constructor(network: NativeNetwork) {
    this.#network = network;
  }

  /**
   * Loads a graph with the input `image`, the output `output` and, if it has one, the output `head`.
   *
   * @param weightsOf - Network of the same files, whose packed weights it shares, and which must not have changed since.
   * @param classes - Number of labels; 0: the network takes none.
   */
  static async load(
    device: Device,
    graph: NativeGraph,
    {
      signal,
      weightsOf,
      classes = 0,
    }: { signal?: AbortSignal | undefined; weightsOf?: MapNetwork | undefined; classes?: number | undefined } = {},
  ): Promise<MapNetwork> {
    const options = { classes, divisor: null, ...(weightsOf !== undefined && { weightsOf: weightsOf.#network }) };
    const network = await cancellable(signal, (cancel) =>
      nativeWork(() => device.engine.loadNetwork(graph, options, cancel)),
    );
    return new MapNetwork(network);
  }

  /** Sizes and costs of the network. */
  get info(): NativeNetwork['info'] {
    return this.#network.info;
  }

  /** Evaluates the network for `batch` maps. */
  async forward(
    batch: number,
    input: Float32Array,
    output: Float32Array,
    { head, times = new Float32Array(batch), labels = null, given }: MapNetworkTensors = {},
  ): Promise<void> {
    await nativeWork(() => this.#network.forward(batch, input, times, labels, output, head ?? null, given));
  }

  async close(): Promise<void> {
    await nativeWork(() => this.#network.close());
  }
}
