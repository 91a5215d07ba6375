import { stat } from 'node:fs/promises';

import { at } from '../base/arrays.js';
import { Closing } from '../base/closing.js';
import type { GivenLora } from '../checkpoint/pipelines/lora/with-loras.js';
import type { Device } from '../engine/device.js';
import { ConditionalUNet } from './conditional-unet.js';
import type { LatentNetwork } from './latent-network.js';
import { promptedWithLoras, type ReadPrompted } from './loras.js';
import type { PromptEncoders } from './prompts.js';

/** The networks of a pipeline that low-rank additions are for. */
export interface PromptedNetworks {
  readonly unet: ConditionalUNet;
  readonly encoders: PromptEncoders;
}

/** What the keys of networks begin with that the pipeline itself has, or had; a number follows. */
export const CURRENT = 'current';

/** Networks with the additions of one time, and the number of runs that began with them. */
interface Generation {
  readonly networks: PromptedNetworks;
  readonly read: ReadPrompted;
  /** Text that no networks with other weights have. */
  readonly key: string;
  users: number;
}

/** Networks that stay open until they are released. */
export interface TakenNetworks {
  readonly networks: PromptedNetworks;
  /** Text that no networks with other weights have. */
  readonly key: string;
  readonly release: () => Promise<void>;
}

const networksOf = ({ unet, encoders }: PromptedNetworks): readonly LatentNetwork[] => [unet, ...encoders.networks];

/** Files of additions, and what tells of each whether it is the one that it was. */
export type Stamps = ReadonlyMap<string, string>;

/** Looks at files before they are read. One that cannot be looked at is like no other, and told by what reads it. */
export async function stampsOf(files: readonly Pick<GivenLora, 'path'>[]): Promise<Stamps> {
  const stamps = files.map(async ({ path }): Promise<[string, string]> => {
    const found = await stat(path).catch(() => null);
    return [path, found === null ? '' : `${found.dev} ${found.ino} ${found.mtimeMs}`];
  });
  return new Map(await Promise.all(stamps));
}

/**
 * The networks of a pipeline, which other ones take the place of when its low-rank additions change. Runs end with those
 * that they began with; a network that nothing was added to, or is, stays the same.
 */
export class SwappedNetworks {
  readonly #device: Device;
  /** The networks as they were read, without additions. */
  readonly #base: ReadPrompted;
  readonly #closing = new Closing('pipeline');
  readonly #generations = new Set<Generation>();
  /** Files of additions that weights in memory have been read with. */
  readonly #stamps: Map<string, string>;
  #current: Generation;
  #swapped: Promise<unknown> = Promise.resolve();
  #set = 0;

  /**
   * @param read - What the networks were made of: the base, with additions if there are any.
   * @param stamps - Files of these additions.
   */
  constructor(
    { device, base, stamps }: { device: Device; base: ReadPrompted; stamps: Stamps },
    read: ReadPrompted,
    networks: PromptedNetworks,
  ) {
    this.#device = device;
    this.#base = base;
    this.#stamps = new Map(stamps);
    this.#current = { networks, read, key: `${CURRENT} 0`, users: 0 };
    this.#generations.add(this.#current);
  }

  /** Networks that the next run takes. */
  get current(): PromptedNetworks {
    return this.#current.networks;
  }

  /** Calls `work` with the networks of now, which stay open until it is done. */
  async using<T>(work: (networks: PromptedNetworks) => Promise<T>): Promise<T> {
    const { networks, release } = this.take();
    try {
      return await work(networks);
    } finally {
      await release();
    }
  }

  /** Takes the networks of now, which stay open until they are released. */
  take(): TakenNetworks {
    return this.#taken(this.#current);
  }

  /**
   * Takes networks with other additions than those of now, beside them. Those that somebody has already are the same.
   *
   * @throws {@link DpmError} The errors of {@link SwappedNetworks.setLoras}.
   */
  takeWith(loras: readonly GivenLora[]): Promise<TakenNetworks> {
    return this.#inOrder(async () => {
      const stamps = await stampsOf(loras);
      const key = JSON.stringify([loras, [...stamps]]);
      const known = [...this.#generations].find((each) => each.key === key);
      return this.#taken(known ?? (await this.#made(loras, stamps, key)));
    });
  }

  /**
   * Replaces the additions. Calls are done in their order.
   *
   * @throws {@link DpmError} naming the file and its wrong tensor, and the networks stay what they are; `ERR_DPM_CLOSED`.
   */
  async setLoras(loras: readonly GivenLora[]): Promise<void> {
    await this.#inOrder(async () => {
      this.#current = await this.#made(loras, await stampsOf(loras), `${CURRENT} ${++this.#set}`);
      await this.#closeUnused();
    });
  }

  /** Closes all networks once their work is done. */
  async close(): Promise<void> {
    this.#closing.close();
    await Promise.all(
      [...new Set([...this.#generations].flatMap(({ networks }) => networksOf(networks)))].map((network) =>
        network.close(),
      ),
    );
  }

  async #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#swapped.then(work);
    this.#swapped = done.catch(() => undefined);
    return done;
  }

  #taken(generation: Generation): TakenNetworks {
    ++generation.users;
    const release = async (): Promise<void> => {
      --generation.users;
      await this.#closeUnused();
    };
    return { networks: generation.networks, key: generation.key, release };
  }

  async #made(loras: readonly GivenLora[], stamps: Stamps, key: string): Promise<Generation> {
    this.#closing.requireOpen();
    const read = await promptedWithLoras(this.#base, loras);
    this.#closing.requireOpen();
    const { networks, read: former } = this.#current;
    const device = { device: this.#device, isOwn: false };
    const unet = read.unet === former.unet ? networks.unet : ConditionalUNet.on(device, read.unet);
    const encoders = networks.encoders.replaced(read.encoders, this.#device);
    if (this.#areSame(stamps)) await this.#loadChanged(networks, { unet, encoders });
    const generation = { networks: { unet, encoders }, read, key, users: 0 };
    this.#generations.add(generation);
    return generation;
  }

  /** Tells whether no other file has taken the place of one that weights in memory were read with, and keeps what it sees. */
  #areSame(stamps: Stamps): boolean {
    const areSame = [...stamps].every(([path, stamp]) => (this.#stamps.get(path) ?? stamp) === stamp);
    for (const [path, stamp] of stamps) this.#stamps.set(path, stamp);
    return areSame;
  }

  /** Loads the networks that are changed where their former ones are loaded; both share what is the same. */
  async #loadChanged(former: PromptedNetworks, changed: PromptedNetworks): Promise<void> {
    const others = networksOf(former);
    const added = networksOf(changed).flatMap((network, i) => {
      const other = at(others, i);
      return network === other ? [] : [{ network, other }];
    });
    try {
      for (const { network, other } of added) await network.loadLike(other);
      this.#closing.requireOpen();
    } catch (error) {
      await Promise.all(added.map(({ network }) => network.close()));
      throw error;
    }
  }

  /** Closes the networks of former additions that no run has any more. */
  async #closeUnused(): Promise<void> {
    const former = [...this.#generations].filter((each) => each !== this.#current && each.users === 0);
    for (const generation of former) this.#generations.delete(generation);
    const kept = new Set([...this.#generations].flatMap(({ networks }) => networksOf(networks)));
    const unused = new Set(
      former.flatMap(({ networks }) => networksOf(networks)).filter((network) => !kept.has(network)),
    );
    await Promise.all([...unused].map((network) => network.close()));
  }
}
