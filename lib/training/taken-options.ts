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
