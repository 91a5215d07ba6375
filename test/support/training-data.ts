// Images to train with, and options of small runs.
import { writeSafetensors } from '../../lib/files/tensor-data.js';
import type { OpenedImages } from '../../lib/training/data/open-images.js';
import type { TrainerOptions } from '../../lib/training/options.js';
import { Random } from './random.js';
import { packagePath } from './temporary.js';

/** A small network with classes. */
export const tinyNetwork = packagePath('test/fixtures/gradients/class-rows/diffusers-adm-tiny/unet/config.json');

/** Configuration of a small classifier of five classes, of images of {@link tinyImages}. */
export const tinyClassifier = {
  family: 'openai-classifier',
  image_size: 8,
  in_channels: 3,
  model_channels: 32,
  out_channels: 5,
  num_res_blocks: 1,
  attention_resolutions: [2],
  channel_mult: [1, 2],
  num_head_channels: 32,
  pool: 'attention',
};

/** Configuration of a small autoencoder whose latents have half of the sides. */
export const tinyAutoencoder = {
  _class_name: 'AutoencoderTiny',
  in_channels: 3,
  out_channels: 3,
  latent_channels: 2,
  encoder_block_out_channels: [8, 8],
  decoder_block_out_channels: [8, 8],
  num_encoder_blocks: [1, 1],
  num_decoder_blocks: [1, 1],
};

/** Configurations of a text encoder, and of a U-Net of latents of that autoencoder. */
export const tinyPipeline = {
  text_encoder: {
    hidden_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 16,
    max_position_embeddings: 6,
    vocab_size: 600,
    hidden_act: 'quick_gelu',
  },
  unet: {
    _class_name: 'UNet2DConditionModel',
    sample_size: 4,
    in_channels: 2,
    out_channels: 2,
    block_out_channels: [16, 16],
    down_block_types: ['CrossAttnDownBlock2D', 'DownBlock2D'],
    up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D'],
    layers_per_block: 1,
    cross_attention_dim: 8,
    attention_head_dim: 2,
    norm_num_groups: 8,
  },
};

/** Images of levels, with labels from 0 to below 5 in turn. */
export function tinyImages(count = 12, shape: readonly [number, number, number] = [3, 8, 8]): OpenedImages {
  const random = new Random(7);
  const elements = shape.reduce((product, size) => product * size, 1);
  return {
    images: Uint8Array.from({ length: count * elements }, () => Math.floor(256 * random.unit())),
    labels: Int32Array.from({ length: count }, (_, i) => i % 5),
    shape: [count, ...shape],
    fingerprint: '',
    broken: 0,
  };
}

/** Options of a run of a few short steps. */
export function tinyRun(changed: Partial<TrainerOptions> = {}): TrainerOptions {
  return {
    data: tinyImages(),
    network: tinyNetwork,
    device: 'cpu',
    threads: 1,
    steps: 6,
    batch: 2,
    rate: 1e-3,
    warmup: 0,
    seed: 3,
    checkpointEvery: 3,
    ...changed,
  };
}

/** Writes images and their labels as a file of safetensors. */
export async function writeTinyImages(path: string): Promise<string> {
  const { images, labels, shape } = tinyImages();
  await writeSafetensors(path, {
    images: { shape: [...shape], data: images },
    labels: { shape: [shape[0]], data: labels! },
  });
  return path;
}
