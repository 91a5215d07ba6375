import { join } from 'node:path';

import { DpmError } from '../../base/errors.js';
import { parseAutoencoderConfig } from '../../checkpoint/pipelines/autoencoder-config.js';
import { readObject } from '../../checkpoint/read-model.js';
import { findWeights } from '../../checkpoint/weight-files.js';
import { Autoencoder } from '../../latents/autoencoder.js';
import { latentFactor } from '../../network/autoencoder.js';
import type { OpenedImages } from '../data/open-images.js';
import { deviceOptionsOf, type TakenOptions } from '../taken-options.js';
import { encodedImages, measuredScale } from './encoded-images.js';

/** An autoencoder in whose latents a network learns. */
export interface LatentSource {
  readonly folder: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** File of its weights. */
  readonly weights: string;
  /** Shape [C, h, w] of the latents of an image. */
  readonly shape: readonly [channels: number, height: number, width: number];
}

/**
 * Reads the configuration of an autoencoder, and finds the shape of the latents of images.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` for images that it does not take; those of reading its folder.
 */
export async function readLatentSource(
  folder: string,
  [, channels, height, width]: OpenedImages['shape'],
): Promise<LatentSource> {
  const path = join(folder, 'config.json');
  const config = await readObject(path);
  const weights = await findWeights(folder, 'diffusion_pytorch_model');
  if (!weights.endsWith('.safetensors')) {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${weights}: latents are those of an autoencoder in one file of safetensors`,
    );
  }
  const { description } = parseAutoencoderConfig(config, path);
  const factor = latentFactor(description);
  if (channels !== description.inChannels || height % factor !== 0 || width % factor !== 0) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `images are ${channels} x ${height} x ${width}, ${folder} takes ${description.inChannels} channels and divides both sides by ${factor}`,
    );
  }
  return { folder, config, weights, shape: [description.latentChannels, height / factor, width / factor] };
}

/**
 * Encodes the images of a run on its device, and scales their latents: as the autoencoder's configuration says, else to a mean
 * square of 1, which the configuration that is given says then.
 */
export async function encodedByRun(
  { folder, config }: LatentSource,
  images: OpenedImages,
  options: TakenOptions,
): Promise<{ latents: Float32Array } & Pick<LatentSource, 'config'>> {
  await using autoencoder = await Autoencoder.load(folder, deviceOptionsOf(options));
  const latents = await encodedImages(images, autoencoder, options);
  if (typeof config.scaling_factor === 'number') return { latents: autoencoder.toDiffusion(latents), config };
  const scale = measuredScale(latents);
  return { latents: latents.map((value) => value * scale), config: { ...config, scaling_factor: scale } };
}
