import { at } from '../../base/arrays.js';
import { ConfigReader, widthRange } from '../../files/config-reader.js';
import { requireFields, requireSilu } from './fields.js';
import type { AutoencoderDescription, KlDescription, TinyDescription, TinyHalf } from '../../network/autoencoder.js';

/** What makes a diffusion's latents z' of an autoencoder's z: z' = (z - shift) scale. */
export interface LatentScale {
  readonly scale: number;
  readonly shift: number;
}

/** What a configuration says about an autoencoder. */
export interface AutoencoderConfig {
  readonly description: AutoencoderDescription;
  readonly latents: LatentScale;
}

const levelRange = { least: 1, most: 8 };
const blockRange = { least: 0, most: 64 };

function readChannels(config: ConfigReader, name: string, absent: readonly number[]): number[] {
  const channels = config.integers(name, absent, widthRange);
  if (channels.length < levelRange.least || channels.length > levelRange.most) {
    throw config.error(name, `a width for each of ${levelRange.least} to ${levelRange.most} levels`);
  }
  return channels;
}

function requireBlocks(config: ConfigReader, name: string, type: string, levels: number): void {
  const types = config.strings(name, new Array<string>(levels).fill(type));
  const other = types.find((each) => each !== type);
  if (other !== undefined) throw config.unsupported(name, type);
  if (types.length !== levels) throw config.error(name, `one block for each of the ${levels} levels`);
}

/** Largest factor between latents; beyond it images would be no numbers. */
const MOST_SCALE = 1e6;

function readLatentScale(config: ConfigReader, scale: number): LatentScale {
  for (const name of ['latents_mean', 'latents_std']) {
    if ((config.raw(name) ?? null) !== null) throw config.unsupported(name, 'null');
  }
  const shift = config.numberOrNull('shift_factor') ?? 0;
  if (Math.abs(shift) > MOST_SCALE) throw config.error('shift_factor', `from -${MOST_SCALE} to ${MOST_SCALE}`);
  const factor = config.positive('scaling_factor', scale, MOST_SCALE);
  if (factor < 1 / MOST_SCALE) throw config.error('scaling_factor', `at least ${1 / MOST_SCALE}`);
  return { scale: factor, shift };
}

const sharedFields = [
  'act_fn',
  'block_out_channels',
  'force_upcast',
  'in_channels',
  'latent_channels',
  'latents_mean',
  'latents_std',
  'out_channels',
  'scaling_factor',
  'shift_factor',
];
const klFields = [
  ...sharedFields,
  'down_block_types',
  'layers_per_block',
  'mid_block_add_attention',
  'norm_num_groups',
  'sample_size',
  'up_block_types',
  'use_post_quant_conv',
  'use_quant_conv',
];
const tinyFields = [
  ...sharedFields,
  'decoder_block_out_channels',
  'encoder_block_out_channels',
  'latent_magnitude',
  'latent_shift',
  'num_decoder_blocks',
  'num_encoder_blocks',
  'upsample_fn',
  'upsampling_scaling_factor',
];

function readKl(config: ConfigReader): KlDescription {
  requireFields(config, klFields);
  requireSilu(config);
  const channels = readChannels(config, 'block_out_channels', [64]);
  requireBlocks(config, 'down_block_types', 'DownEncoderBlock2D', channels.length);
  requireBlocks(config, 'up_block_types', 'UpDecoderBlock2D', channels.length);
  const groups = config.integer('norm_num_groups', 32, widthRange);
  if (channels.some((width) => width % groups !== 0)) throw config.error('norm_num_groups', 'a divisor of all widths');
  return {
    kind: 'kl',
    inChannels: config.integer('in_channels', 3, widthRange),
    outChannels: config.integer('out_channels', 3, widthRange),
    latentChannels: config.integer('latent_channels', 4, widthRange),
    channels,
    layers: config.integer('layers_per_block', 1, { least: 1, most: blockRange.most }),
    groups,
    midAttention: config.boolean('mid_block_add_attention', true),
    quantConvolution: config.boolean('use_quant_conv', true),
    postQuantConvolution: config.boolean('use_post_quant_conv', true),
  };
}

function readHalf(config: ConfigReader, half: 'encoder' | 'decoder', blocks: readonly number[]): TinyHalf {
  const name = `${half}_block_out_channels`;
  const widths = readChannels(config, name, new Array<number>(blocks.length).fill(64));
  const channels = at(widths, 0);
  // A block of the library ends in the width that it began with.
  if (widths.some((width) => width !== channels)) throw config.unsupported(name, 'one width for all stages');
  const counts = `num_${half}_blocks`;
  const numbers = config.integers(counts, blocks, blockRange);
  if (numbers.length !== widths.length) throw config.error(counts, `a number for each of the ${widths.length} stages`);
  return { channels, blocks: numbers };
}

function readTiny(config: ConfigReader): TinyDescription {
  requireFields(config, tinyFields);
  config.choice('act_fn', 'relu', ['relu']);
  config.choice('upsample_fn', 'nearest', ['nearest']);
  if (config.number('upsampling_scaling_factor', 2) !== 2) throw config.unsupported('upsampling_scaling_factor', '2');
  const encoder = readHalf(config, 'encoder', [1, 3, 3, 3]);
  const decoder = readHalf(config, 'decoder', [3, 3, 3, 1]);
  if (encoder.blocks.length !== decoder.blocks.length) {
    throw config.error('num_decoder_blocks', 'as many stages as those of the encoder');
  }
  return {
    kind: 'tiny',
    inChannels: config.integer('in_channels', 3, widthRange),
    outChannels: config.integer('out_channels', 3, widthRange),
    latentChannels: config.integer('latent_channels', 4, widthRange),
    encoder,
    decoder,
  };
}

/**
 * Reads the configuration of an `AutoencoderKL` or `AutoencoderTiny` of diffusers.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` or `ERR_DPM_UNSUPPORTED` naming the field.
 */
export function parseAutoencoderConfig(raw: Readonly<Record<string, unknown>>, source: string): AutoencoderConfig {
  const config = new ConfigReader(raw, source);
  const kind = config.choice('_class_name', 'AutoencoderKL', ['AutoencoderKL', 'AutoencoderTiny']);
  const isTiny = kind === 'AutoencoderTiny';
  const description = isTiny ? readTiny(config) : readKl(config);
  return { description, latents: readLatentScale(config, isTiny ? 1 : 0.18215) };
}
