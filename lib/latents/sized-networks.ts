import { Closing } from '../base/closing.js';
import { type Checkpoint, nativeGraph } from '../checkpoint/checkpoint.js';
import type { OpenedDevice } from '../checkpoint/load-network.js';
import { MapNetwork } from '../engine/map-network.js';
import type { Graph } from '../network/graph.js';

/** Most networks that are kept while nobody uses them. */
const MOST_IDLE = 4;

/** What a network is for: a part of a model and the sides of its input. */
export interface NetworkSize {
  readonly part: string;
  readonly height: number;
  readonly width: number;
}

interface Entry {
  readonly network: Promise<MapNetwork>;
  users: number;
}

/** The model whose parts the networks are. */
export interface SizedModel {
  /** Name of the model in messages. */
  readonly what: string;
  readonly opened: OpenedDevice;
  /** Weights of all parts. */
  readonly checkpoint: Checkpoint;
  /** Makes the graph of a part for a size, and counts the labels that it takes, if any. */
  readonly network: (size: NetworkSize) => { readonly graph: Graph; readonly classes?: number };
}

/**
 * Networks of the same weights for maps of any size, each loaded when it is first used. The last used ones are kept.
 */
export class SizedNetworks {
  readonly #model: SizedModel;
  /** Entries by their size, the one that was used last at the end. */
  readonly #entries = new Map<string, Entry>();
  readonly #closing: Closing;

  constructor(model: SizedModel) {
    this.#model = model;
    this.#closing = new Closing(model.what);
  }

  /**
   * Calls `work` with the network of a size, which stays open until it is done.
   *
   * @throws {@link DpmError} `ERR_DPM_CLOSED` once it is closed, and the errors of loading.
   */
  async using<T>(size: NetworkSize, work: (network: MapNetwork) => Promise<T>): Promise<T> {
    this.#closing.requireOpen();
    const key = `${size.part} ${size.height} ${size.width}`;
    const entry = this.#entries.get(key) ?? { network: this.#loaded(size), users: 0 };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    ++entry.users;
    try {
      return await work(await entry.network);
    } catch (error) {
      // A network that could not be loaded is tried anew; one that could is there for others.
      await entry.network.catch(() => this.#entries.get(key) === entry && this.#entries.delete(key));
      throw error;
    } finally {
      --entry.users;
      await this.#closeIdle();
    }
  }

  /** Closes the networks that nobody uses now, or those of one part. */
  release(part?: string): Promise<void> {
    return this.#closeIdle(0, part);
  }

  /** Closes all networks once their work is done, and the device if it was opened for them. Can be called again. */
  async close(): Promise<void> {
    const { opened } = this.#model;
    this.#closing.close();
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    await Promise.all(entries.map(closed));
    if (opened.isOwn) await opened.device.close();
  }

  async #loaded(size: NetworkSize): Promise<MapNetwork> {
    const [other] = this.#entries.values();
    const { opened, checkpoint, network } = this.#model;
    const weightsOf = await other?.network.catch(() => undefined);
    const { graph, classes } = network(size);
    return MapNetwork.load(opened.device, nativeGraph(graph, checkpoint), { weightsOf, classes });
  }

  async #closeIdle(most = MOST_IDLE, part?: string): Promise<void> {
    const isMeant = (key: string): boolean => part === undefined || key.startsWith(`${part} `);
    const idle = [...this.#entries].filter(([key, { users }]) => users === 0 && isMeant(key));
    const superfluous = idle.slice(0, Math.max(0, idle.length - most));
    for (const [key] of superfluous) this.#entries.delete(key);
    await Promise.all(superfluous.map(([, entry]) => closed(entry)));
  }
}

async function closed({ network }: Entry): Promise<void> {
  const loaded = await network.catch(() => null);
  await loaded?.close();
}
