import type { GivenDevice } from '../checkpoint/load-network.js';
import { deviceOptionFacts } from '../engine/device.js';
import { pathOf } from '../files/paths.js';
import { takenCaptions, type GivenCaptions } from './captions/given-captions.js';
import { takenNetwork } from './given-network.js';
import type { TrainerOptions } from './options.js';

/** Options as they were when the call began. */
export type TakenOptions = Omit<TrainerOptions, 'network' | 'captions' | 'latents' | 'out'> & {
  readonly network: ReturnType<typeof takenNetwork>;
  readonly captions?: GivenCaptions | undefined;
  readonly latents?: string | undefined;
  readonly out?: string | undefined;
};

/**
 * Takes the options of a call, which its owner may change while they are read; data are taken by `takenData`.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming one that is of the wrong kind.
 */
export function takenOptions(options: TrainerOptions): TakenOptions {
  const { network, captions, latents, out } = options;
  return {
    ...options,
    network: takenNetwork(network),
    captions: takenCaptions(captions),
    latents: latents === undefined ? undefined : pathOf('latents', latents),
    out: out === undefined ? undefined : pathOf('out', out),
  };
}

/** Picks the options of the device. */
export function deviceOptionsOf(options: Pick<TrainerOptions, keyof typeof deviceOptionFacts>): GivenDevice {
  const names = Object.keys(deviceOptionFacts) as (keyof typeof deviceOptionFacts)[];
  return Object.fromEntries(names.map((name) => [name, options[name]]));
}
