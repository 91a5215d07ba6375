import { extname, join } from 'node:path';

import { DpmError } from '../../base/errors.js';
import { isThere } from '../../files/files.js';
import { latentFactor, roundTripGraph, type TinyDescription } from '../../network/autoencoder.js';
import { NoiseSchedule } from '../../schedule/noise-schedule.js';
import type { Checkpoint } from '../checkpoint.js';
import { readNamedConfig } from '../config-source.js';
import { flatLayout } from '../family.js';
import { pytorchInitial } from '../initial-rule.js';
import { readObject } from '../read-model.js';
import type { TrainableNetwork } from '../trainable.js';
import { readAutoencoder } from './autoencoder.js';
import { parseAutoencoderConfig } from './autoencoder-config.js';

type Fields = Readonly<Record<string, unknown>>;

/** An autoencoder to train, whose graph depends on the images. */
export interface GivenAutoencoder {
  readonly source: string;
  readonly config: Fields;
  /** Weights that it goes on from; null: it begins with nothing. */
  readonly weights: Checkpoint | null;
}

/**
 * Makes the configuration of an autoencoder for images that nobody has said one for: latents of a fourth of their sides, by one
 * block a stage of 32 channels.
 */
export function defaultAutoencoder(channels: number): GivenAutoencoder {
  const config = {
    _class_name: 'AutoencoderTiny',
    in_channels: channels,
    out_channels: channels,
    latent_channels: 4,
    encoder_block_out_channels: [32, 32, 32],
    decoder_block_out_channels: [32, 32, 32],
    num_encoder_blocks: [1, 1, 1],
    num_decoder_blocks: [1, 1, 1],
  };
  return { source: 'the default autoencoder', config, weights: null };
}

/** Tells whether a configuration is an autoencoder's. */
function isAutoencoder(config: Fields): boolean {
  const { _class_name: name } = config;
  return typeof name === 'string' && name.startsWith('Autoencoder');
}

/**
 * Reads an autoencoder to train: a configuration, as an object or a JSON file, or a folder in diffusers' layout, which goes on
 * from its weights.
 *
 * @returns Null if what is given is another network.
 * @throws {@link DpmError} naming the file, the wrong field or tensor.
 */
export async function readGivenAutoencoder(given: string | Fields): Promise<GivenAutoencoder | null> {
  if (typeof given !== 'string') {
    return isAutoencoder(given) ? { source: 'the autoencoder', config: given, weights: null } : null;
  }
  if (extname(given).toLowerCase() === '.json') {
    const { config, source } = await readNamedConfig(given);
    return isAutoencoder(config) ? { source, config, weights: null } : null;
  }
  const path = join(given, 'config.json');
  if (!(await isThere(path))) return null;
  const config = await readObject(path);
  if (!isAutoencoder(config)) return null;
  return { source: given, config, weights: (await readAutoencoder(given)).checkpoint };
}

function tinyDescription({ config, source }: GivenAutoencoder): TinyDescription {
  const { description } = parseAutoencoderConfig(config, source);
  if (description.kind === 'tiny') return description;
  throw new DpmError('ERR_DPM_UNSUPPORTED', `${source}: an AutoencoderKL cannot be trained, an AutoencoderTiny can`);
}

/**
 * Makes an autoencoder that learns to give back images of a shape: both of its halves, one behind the other.
 *
 * @throws {@link DpmError} naming the wrong field, or `ERR_DPM_TENSOR_SHAPE` for images that it does not divide.
 */
export function trainableAutoencoder(
  given: GivenAutoencoder,
  [channels, height, width]: readonly [number, number, number],
): TrainableNetwork {
  const { source, config, weights } = given;
  const description = tinyDescription(given);
  const { inChannels, outChannels } = description;
  const factor = latentFactor(description);
  if (inChannels !== channels || outChannels !== channels || height % factor !== 0 || width % factor !== 0) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `images are ${channels} x ${height} x ${width}, ${source} takes ${inChannels} channels, gives ${outChannels} and divides both sides by ${factor}`,
    );
  }
  const graph = roundTripGraph(description, { height, width });
  return {
    kind: 'autoencoder',
    source,
    config,
    network: {
      unet: { inChannels, outChannels, height, width, classes: 0, divisor: null },
      head: null,
      source: (name) => ({ key: name }),
      ignores: () => false,
      initial: pytorchInitial,
    },
    graph,
    alone: graph,
    droppingOut() {
      throw new DpmError('ERR_DPM_UNSUPPORTED', `dropout: ${source} is an autoencoder, whose maps do not drop out`);
    },
    head: null,
    schedule: NoiseSchedule.linear(),
    scheduler: null,
    layout: { ...flatLayout, weights: 'diffusion_pytorch_model', namesFamily: false },
    labelForNone: 'no label',
    weights,
  };
}
