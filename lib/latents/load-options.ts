import { throwIfAborted } from '../base/abort.js';
import { kindsOf, type OptionFacts } from '../base/option-facts.js';
import { checkOptions, either, instanceOf, kinds, requireKind, type OptionKinds } from '../base/option-kinds.js';
import { openedDevice, type OpenedDevice } from '../checkpoint/load-network.js';
import { modelPath } from '../checkpoint/model-path.js';
import { pipelinePresets } from '../checkpoint/pipelines/single-file/presets.js';
import { Device, deviceOptionFacts, type DeviceOptions } from '../engine/device.js';

/** Options of loading a network of latent diffusion. */
export interface LatentNetworkOptions extends Omit<DeviceOptions, 'device'> {
  /** Device by name, which the network opens and closes, or an open one, which excludes the other options of devices. */
  device?: string | Device | undefined;
  /** Signal that aborts loading. */
  signal?: AbortSignal | undefined;
}

const latentNetworkFacts = {
  ...deviceOptionFacts,
  device: { ...deviceOptionFacts.device, kind: either(kinds.string, instanceOf('a Device', Device)) },
  signal: { kind: kinds.signal, help: 'aborts loading' },
} as const satisfies OptionFacts<LatentNetworkOptions>;

/** @internal */
export const latentNetworkKinds: OptionKinds<LatentNetworkOptions> = kindsOf<LatentNetworkOptions>(latentNetworkFacts);

/** Options of loading a network from a folder or from a single file. */
export interface LatentFileOptions extends LatentNetworkOptions {
  /**
   * What the tensors of a single file do not tell: the name of a preset (`sd1`, `sd1-inpaint`, `sd2-base`, `sd2-v`,
   * `sd-turbo`, `sdxl`, `sdxl-refiner`, `sdxl-turbo`), a folder in diffusers' layout, or the `.yaml` of the original's authors.
   * Public models need none.
   */
  config?: string | undefined;
}

/** Facts about each option of {@link LatentFileOptions}. @internal */
export const latentFileFacts = {
  ...latentNetworkFacts,
  config: {
    kind: kinds.string,
    help: `what a single file is: a preset (${Object.keys(pipelinePresets).join(', ')}), a folder in diffusers' layout, or the original's .yaml`,
    otherwise: 'what its tensors tell',
    value: 'NAME',
  },
} as const satisfies OptionFacts<LatentFileOptions>;

/** @internal */
export const latentFileKinds: OptionKinds<LatentFileOptions> = kindsOf<LatentFileOptions>(latentFileFacts);

/**
 * Checks the entries of a list of files with their options, and copies them: files are read later, when the caller may have
 * changed them.
 *
 * @param name - Name of the list, for messages.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the entry and its wrong option.
 */
export function checkedFiles<T extends { path: string }>(
  name: string,
  entries: readonly T[],
  kindsOfEntries: OptionKinds<T>,
): T[] {
  return entries.map((entry, i) => {
    const copy = { ...entry };
    requireKind(`${name}[${i}].path`, copy.path, kinds.string);
    checkOptions(`${name}[${i}]`, copy, kindsOfEntries);
    return copy;
  });
}

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
