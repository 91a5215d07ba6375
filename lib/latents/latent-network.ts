import type { Device } from '../engine/device.js';
import { SizedNetworks, type SizedModel } from './sized-networks.js';

/** What all networks of latent diffusion have: a device, weights that can be freed, and an end. */
export abstract class LatentNetwork {
  /** Device of the network, which closes the device if it has opened it. */
  readonly device: Device;
  /** Its graphs on the device. @internal */
  protected readonly networks: SizedNetworks;

  /** @internal */
  protected constructor(model: SizedModel) {
    this.device = model.opened.device;
    this.networks = new SizedNetworks(model);
  }

  /** Loads what another network of the same graphs has loaded, and shares the weights that are the same. @internal */
  async loadLike(former: LatentNetwork): Promise<void> {
    await this.networks.loadLike(former.networks);
  }

  /** Frees the weights that no evaluation uses now; the next one loads them anew. */
  async release(): Promise<void> {
    await this.networks.release();
  }

  /** Waits for running work and releases everything. Can be called again. */
  async close(): Promise<void> {
    await this.networks.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
