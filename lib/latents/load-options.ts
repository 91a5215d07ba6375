import { either, instanceOf, kinds, type OptionKinds } from '../base/option-kinds.js';
import { Device, deviceOptionKinds, type DeviceOptions } from '../engine/device.js';

/** Options of loading a network of latent diffusion. */
export interface LatentNetworkOptions extends Omit<DeviceOptions, 'device'> {
  /** Device by name, which the network opens and closes, or an open one, which excludes the other options of devices. */
  device?: string | Device | undefined;
  /** Signal that aborts loading. */
  signal?: AbortSignal | undefined;
}

/** @internal */
export const latentNetworkKinds: OptionKinds<LatentNetworkOptions> = {
  ...deviceOptionKinds,
  device: either(kinds.string, instanceOf('a Device', Device)),
  signal: kinds.signal,
};
