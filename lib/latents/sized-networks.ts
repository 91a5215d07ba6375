import { Closing } from '../base/closing.js';
import { type Checkpoint, nativeGraph } from '../checkpoint/checkpoint.js';
import type { OpenedDevice } from '../checkpoint/load-network.js';
import { MapNetwork } from '../engine/map-network.js';
import type { Graph } from '../network/graph.js';
import type { Extents, GraphValue } from '../network/operation.js';

/** Most networks that are kept while nobody uses them. */
export const MOST_IDLE = 4;

/** What a network is for: a part of a model and the sides of its input. */
export interface NetworkSize {
  readonly part: string;
  readonly height: number;
  readonly width: number;
}

/** Bytes of evaluations. */
export interface NetworkBytes {
  /** Packed weights; a network tells only of those that no other had packed before it. */
  readonly weights: number;
  readonly maps: number;
}

const FLOAT = 4;

interface Entry {
  readonly size: NetworkSize;
  readonly network: Promise<MapNetwork>;
  users: number;
}

const keyOf = ({ part, height, width }: NetworkSize): string => `${part} ${height} ${width}`;

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

const elementsOf = ({ channels, height, width }: Extents): number => channels * height * width;

/**
 * Networks of the same weights for maps of any size, each loaded when it is first used. The last used ones are kept.
 */
export class SizedNetworks {
  readonly #model: SizedModel;
  /** Entries by their size, the one that was used last at the end. */
  readonly #entries = new Map<string, Entry>();
  readonly #closing: Closing;
  /** Bytes that the networks of each part have packed. */
  readonly #packed = new Map<string, number>();

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
    const key = keyOf(size);
    const entry = this.#entries.get(key) ?? { size, network: this.#loaded(size), users: 0 };
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

  /**
   * Computes what evaluations take: the packed weights of all networks, and the maps of this one, its inputs and outputs
   * included. Loads it.
   *
   * @param rows - Number of maps at once, or what gives it for the bytes of one.
   * @param groups - Number of the inputs that rows share. Default: each row has its own.
   */
  async bytesFor(
    size: NetworkSize,
    rows: number | ((rowBytes: number) => number),
    groups?: number,
  ): Promise<NetworkBytes> {
    const { values } = this.#model.network(size).graph;
    const boundBy = (wanted: GraphValue['varies']): number =>
      values
        .filter(({ binding, varies }) => binding !== null && varies === wanted)
        .reduce((sum, value) => sum + elementsOf(value), 0);
    return this.using(size, ({ info: { rowBytes } }) => {
      const count = typeof rows === 'number' ? rows : rows(rowBytes);
      const weights = [...this.#packed.values()].reduce((sum, bytes) => sum + bytes, 0);
      const shared = (groups ?? count) * FLOAT * boundBy('group');
      return Promise.resolve({ weights, maps: count * (rowBytes + FLOAT * boundBy(undefined)) + shared });
    });
  }

  /**
   * Loads the networks that another model of the same graphs has, and shares those of its packed weights that are the same.
   *
   * @throws The errors of loading.
   */
  async loadLike(former: SizedNetworks): Promise<void> {
    for (const [key, { size }] of [...former.#entries]) {
      if (!former.#entries.has(key)) continue;
      await former.using(size, async (lender) => {
        const network = this.#loaded(size, lender);
        this.#entries.set(key, { size, network, users: 0 });
        await network;
      });
    }
    // What is shared counts as packed by the one that stays.
    for (const [part, bytes] of former.#packed) this.#packed.set(part, bytes);
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

  async #loaded(size: NetworkSize, lender?: MapNetwork): Promise<MapNetwork> {
    const [other] = this.#entries.values();
    const { opened, checkpoint, network } = this.#model;
    const weightsOf = lender ?? (await other?.network.catch(() => undefined));
    const { graph, classes } = network(size);
    const loaded = await MapNetwork.load(opened.device, nativeGraph(graph, checkpoint), { weightsOf, classes });
    this.#packed.set(size.part, (this.#packed.get(size.part) ?? 0) + loaded.info.weightBytes);
    return loaded;
  }

  async #closeIdle(most = MOST_IDLE, part?: string): Promise<void> {
    const isMeant = (key: string): boolean => part === undefined || key.startsWith(`${part} `);
    const idle = [...this.#entries].filter(([key, { users }]) => users === 0 && isMeant(key));
    const superfluous = idle.slice(0, Math.max(0, idle.length - most));
    for (const [key] of superfluous) this.#entries.delete(key);
    if (this.#entries.size === 0) this.#packed.clear();
    else if (most === 0 && part !== undefined) this.#packed.delete(part);
    await Promise.all(superfluous.map(([, entry]) => closed(entry)));
  }
}

async function closed({ network }: Entry): Promise<void> {
  const loaded = await network.catch(() => null);
  await loaded?.close();
}
