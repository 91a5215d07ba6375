import { throwIfAborted } from '../base/abort.js';
import { checkOptions, either, instanceOf, kinds, type OptionKinds } from '../base/option-kinds.js';
import { openedDevice, type OpenedDevice } from '../checkpoint/load-network.js';
import { modelPath } from '../checkpoint/model-path.js';
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

/** Options of loading a network from a folder or from a single file. */
export interface LatentFileOptions extends LatentNetworkOptions {
  /**
   * What the tensors of a single file do not tell: the name of a preset (`sd1`, `sd1-inpaint`, `sd2-base`, `sd2-v`,
   * `sd-turbo`, `sdxl`, `sdxl-refiner`, `sdxl-turbo`), a folder in diffusers' layout, or the `.yaml` of the original's authors.
   * Public models need none.
   */
  config?: string | undefined;
}

/** @internal */
export const latentFileKinds: OptionKinds<LatentFileOptions> = { ...latentNetworkKinds, config: kinds.string };

/**
 * Reads a network's folder or file and opens its device.
 *
 * @param who - Name of the call, for messages.
 * @param what - Name of the network, for messages.
 */
export async function readAndOpen<T>(
  { who, what }: { who: string; what: string },
  path: string | URL,
  options: LatentNetworkOptions,
  read: (found: string) => Promise<T>,
): Promise<{ opened: OpenedDevice; read: T }> {
  checkOptions(who, options, latentNetworkKinds);
  const { signal, ...device } = options;
  throwIfAborted(signal);
  const found = await read(await modelPath(path));
  throwIfAborted(signal);
  return { opened: openedDevice(device, what), read: found };
}
