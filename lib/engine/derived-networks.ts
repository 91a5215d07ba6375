import { nativeWork } from '../base/errors.js';
import type { NativeNetwork, NativeNetworkOptions } from './binding.js';

/** A derivative and the choices that a network for it is made by. */
export type DerivativeChoice = Required<Pick<NativeNetworkOptions, 'derivative' | 'recompute'>> &
  Pick<NativeNetworkOptions, 'pullsToImage'> & { learned?: readonly number[] | undefined };

/** Networks that compute derivatives of another one, each loaded when it is first asked for. */
export class DerivedNetworks {
  readonly #load: (choice: DerivativeChoice) => Promise<NativeNetwork>;
  readonly #loaded = new Map<string, Promise<NativeNetwork>>();

  constructor(load: (choice: DerivativeChoice) => Promise<NativeNetwork>) {
    this.#load = load;
  }

  /** Gives the network of a choice; one that could not be loaded is tried again. */
  get(choice: DerivativeChoice): Promise<NativeNetwork> {
    const key = JSON.stringify(choice);
    let network = this.#loaded.get(key);
    if (network === undefined) {
      network = this.#load(choice);
      this.#loaded.set(key, network);
      network.catch(() => this.#loaded.delete(key));
    }
    return network;
  }

  /** Releases all of them. */
  async close(): Promise<void> {
    const networks = [...this.#loaded.values()];
    this.#loaded.clear();
    for (const loaded of await Promise.allSettled(networks)) {
      if (loaded.status === 'fulfilled') await nativeWork(() => loaded.value.close());
    }
  }
}
