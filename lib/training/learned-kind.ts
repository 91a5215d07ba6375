import type { TrainableNetwork } from '../checkpoint/trainable.js';

/** Tells whether what learns are logits of noisy images. */
export function isClassifier({ network }: Pick<TrainableNetwork, 'network'>): boolean {
  return network.unet.pool !== undefined;
}

/** Tells whether what learns is an autoencoder, to give back images as they are. */
export function isAutoencoder({ kind }: Pick<TrainableNetwork, 'kind'>): boolean {
  return kind === 'autoencoder';
}

/** Tells whether a network learns its variance behind its prediction (Nichol and Dhariwal 2021). */
export function learnsRange({ network, schedule }: Pick<TrainableNetwork, 'network' | 'schedule'>): boolean {
  const { outChannels, inChannels, pool } = network.unet;
  return pool === undefined && outChannels === 2 * inChannels && schedule.discrete;
}

/** Number of classes of the labels that a network learns from; 0: it takes none. */
export function classesOf({ network }: Pick<TrainableNetwork, 'network'>): number {
  return isClassifier({ network }) ? network.unet.outChannels : network.unet.classes;
}

/** Tells whether what learns sees a text beside its images. */
export function isCaptioned({ kind }: Pick<TrainableNetwork, 'kind'>): boolean {
  return kind === 'captioned';
}
