import { nativeWork } from '../base/errors.js';
import type { NativeNetwork } from './binding.js';
import { cancellable } from './cancellable.js';
import type { Device } from './device.js';
import type { NativeGraph } from './native-graph.js';

/** Network from one map to another, without times, labels or a sampler: half of an autoencoder, a text encoder. */
export class MapNetwork {
  readonly #network: NativeNetwork;

  private constructor(network: NativeNetwork) {
    this.#network = network;
  }

  /**
   * Loads a graph with the input `image`, the output `output` and, if it has one, the output `head`.
   *
   * @param weightsOf - Network of the same files, whose packed weights it shares, and which must not have changed since.
   */
  static async load(
    device: Device,
    graph: NativeGraph,
    { signal, weightsOf }: { signal?: AbortSignal | undefined; weightsOf?: MapNetwork | undefined } = {},
  ): Promise<MapNetwork> {
    const options = { classes: 0, divisor: null, ...(weightsOf !== undefined && { weightsOf: weightsOf.#network }) };
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
    head: Float32Array | null = null,
  ): Promise<void> {
    await nativeWork(() => this.#network.forward(batch, input, new Float32Array(batch), null, output, head));
  }

  async close(): Promise<void> {
    await nativeWork(() => this.#network.close());
  }
}
