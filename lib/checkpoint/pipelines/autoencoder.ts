import { join } from 'node:path';

import { requiredTensors } from '../../network/cost.js';
import { autoencoderGraph, latentFactor, type AutoencoderDescription } from '../../network/autoencoder.js';
import type { Checkpoint } from '../checkpoint.js';
import { readObject } from '../read-model.js';
import { parseAutoencoderConfig, type AutoencoderConfig } from './autoencoder-config.js';
import { folderWeights } from './folder-weights.js';

/** An autoencoder's configuration, and its weights by the names of its graphs' constants. */
export interface ReadAutoencoder extends AutoencoderConfig {
  readonly checkpoint: Checkpoint;
}

/** Lists the weights of both halves, whose shapes are the same for any size of the images. */
export function autoencoderWeights(description: AutoencoderDescription): Map<string, number[]> {
  const sides = { height: latentFactor(description), width: latentFactor(description) };
  const decoder = autoencoderGraph(description, 'decoder', { height: 1, width: 1 });
  return new Map([...requiredTensors(autoencoderGraph(description, 'encoder', sides)), ...requiredTensors(decoder)]);
}

/**
 * Reads the folder of an autoencoder in diffusers' layout: `config.json` and its weights.
 *
 * @throws {@link DpmError} naming the file and the wrong field or tensor.
 */
export async function readAutoencoder(folder: string): Promise<ReadAutoencoder> {
  const path = join(folder, 'config.json');
  const config = parseAutoencoderConfig(await readObject(path), path);
  return { ...config, checkpoint: await folderWeights(folder, autoencoderWeights(config.description)) };
}
