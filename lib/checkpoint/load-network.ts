import { throwIfAborted, untilAborted } from '../base/abort.js';
import { DpmError } from '../base/errors.js';
import { Device, type DeviceOptions } from '../engine/device.js';
import { Network } from '../engine/network.js';
import { lastChannels } from '../network/description.js';
import { unetGraph } from '../network/unet.js';
import { nativeGraph } from './checkpoint.js';
import type { HeadName } from './heads.js';
import { loadableNetwork, type ModelFolder } from './model-folder.js';
import { readModelFolder, type ReadModelOptions } from './read-model.js';

/** Options of devices, or one that is open. */
export type GivenDevice = Omit<DeviceOptions, 'device'> & { device?: string | Device | undefined };

/** A device, and whether the call that loads has opened it. */
export interface OpenedDevice {
  device: Device;
  isOwn: boolean;
}

/**
 * Opens a device, or takes the open one.
 *
 * @param who - What loads onto it, for messages.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for options of an open device, and the errors of `Device.open`.
 */
export function openedDevice({ device, ...others }: GivenDevice, who: string): OpenedDevice {
  if (!(device instanceof Device)) return { device: Device.open({ ...others, device }), isOwn: true };
  const contradicting = Object.entries(others).find(([, value]) => value !== undefined);
  if (contradicting !== undefined) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `${contradicting[0]} is for a device that the ${who} opens, this one is open`,
    );
  }
  return { device, isOwn: false };
}

/** Role of the network: a model predicts noise, a classifier logits. */
export type NetworkRole = 'model' | 'classifier';

function requireRole({ path, family }: ModelFolder, isClassifier: boolean, role: NetworkRole): void {
  if (isClassifier === (role === 'classifier')) return;
  throw new DpmError(
    'ERR_DPM_ARGUMENT',
    isClassifier
      ? `${path} is a classifier (${family}), not a diffusion model: load it with Classifier.load, or dpm classify`
      : `${path} is a diffusion model (${family}), not a classifier: load it with DiffusionModel.load`,
  );
}

/**
 * Loads, as a network of its own, the blocks of a classifier, before its output norm and pool.
 *
 * @throws {@link DpmError} naming the wrong file or tensor.
 */
export async function loadFeatures({ opened, folder, network: classifier }: NetworkOnDevice): Promise<Network> {
  const { unet, checkpoint } = await folder.select(null);
  const description = { ...unet, pool: { method: 'features' }, outChannels: lastChannels(unet) } as const;
  return Network.load(opened.device, description, nativeGraph(unetGraph(description), checkpoint), {
    weightsOf: classifier,
  });
}

/** A network on its device, and the folder or file that it is from. */
export interface NetworkOnDevice {
  opened: OpenedDevice;
  folder: ModelFolder;
  network: Network;
}

/**
 * Reads a network and loads it onto a device; on failure closes a device that was opened for it.
 *
 * @param path - Path, URL or name as for `DiffusionModel.load`.
 * @throws {@link DpmError} naming the wrong file, tensor, field or device; `ERR_DPM_ARGUMENT` for a network of the other
 * role; `ERR_DPM_ABORTED` if aborted.
 */
export async function loadNetwork(
  role: NetworkRole,
  path: string | URL,
  {
    head = null,
    reading,
    device,
    signal,
  }: {
    head?: HeadName | null;
    reading: ReadModelOptions;
    device: GivenDevice;
    signal: AbortSignal | undefined;
  },
): Promise<NetworkOnDevice> {
  throwIfAborted(signal);
  const folder = await untilAborted(signal, () => readModelFolder(path, reading));
  const loadable = await untilAborted(signal, () => loadableNetwork(folder, head));
  requireRole(folder, loadable.unet.pool !== undefined, role);
  const opened = openedDevice(device, role);
  try {
    return { opened, folder, network: await Network.load(opened.device, loadable.unet, loadable.graph, { signal }) };
  } catch (error) {
    if (opened.isOwn) await opened.device.close();
    throw error;
  }
}
