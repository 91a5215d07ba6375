import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { ConfigReader, widthRange } from '../files/config-reader.js';
import type { Activation } from '../network/description.js';
import { sidesOf, sideRange, type ImageSize } from './image-size.js';

export const downBlockTypes = [
  'DownBlock2D',
  'AttnDownBlock2D',
  'ResnetDownsampleBlock2D',
  'SkipDownBlock2D',
  'AttnSkipDownBlock2D',
] as const;
export const upBlockTypes = [
  'UpBlock2D',
  'AttnUpBlock2D',
  'ResnetUpsampleBlock2D',
  'SkipUpBlock2D',
  'AttnSkipUpBlock2D',
] as const;

/** The fields of a diffusers `UNet2DModel` that are supported, checked. */
export interface DiffusersConfig {
  height: number;
  width: number;
  inChannels: number;
  outChannels: number;
  centerInput: boolean;
  /** Features of the time; those of Fourier are of the noise level, by which the output is divided. */
  timeFeatures: (typeof timeFeatures)[number];
  /** Number of rows of learned features. */
  timeRows: number | null;
  freqShift: number;
  flipSinToCos: boolean;
  timeEmbedding: number;
  downBlocks: (typeof downBlockTypes)[number][];
  upBlocks: (typeof upBlockTypes)[number][];
  channels: number[];
  layers: number;
  hasMidBlock: boolean;
  midScale: number;
  padding: 'symmetric' | 'asymmetric';
  downsample: 'conv' | 'resnet';
  upsample: 'conv' | 'resnet';
  /** Number of channels per head; null: one head. */
  headChannels: number | null;
  normGroups: number | null;
  midAttentionGroups: number | null;
  epsilon: number;
  /** Activation of residual blocks. */
  activation: Activation;
  scaleShift: boolean;
  addAttention: boolean;
  classes: number;
  /** A label is a row of the network's table, is embedded like a time, or stands for a vector the network does not hold. */
  classEmbedding: 'row' | 'time' | 'given';
}

const timeFeatures = ['positional', 'fourier', 'learned'] as const;

/** Names of early releases of the library. */
const oldNames: ReadonlyMap<string, string> = new Map([
  ['image_size', 'sample_size'],
  ['num_res_blocks', 'layers_per_block'],
  ['block_channels', 'block_out_channels'],
  ['downscale_freq_shift', 'freq_shift'],
  ['resnet_num_groups', 'norm_num_groups'],
  ['resnet_eps', 'norm_eps'],
  ['num_head_channels', 'attention_head_dim'],
]);

const knownFields: ReadonlySet<string> = new Set([
  'sample_size',
  'in_channels',
  'out_channels',
  'center_input_sample',
  'time_embedding_type',
  'time_embedding_dim',
  'freq_shift',
  'flip_sin_to_cos',
  'down_block_types',
  'mid_block_type',
  'up_block_types',
  'block_out_channels',
  'layers_per_block',
  'mid_block_scale_factor',
  'downsample_padding',
  'downsample_type',
  'upsample_type',
  'dropout',
  'act_fn',
  'attention_head_dim',
  'norm_num_groups',
  'attn_norm_num_groups',
  'norm_eps',
  'resnet_time_scale_shift',
  'add_attention',
  'class_embed_type',
  'num_class_embeds',
  'num_train_timesteps',
]);

/** Fields of the training script's moving average, saved into the same file. */
const trainingFields: ReadonlySet<string> = new Set([
  'decay',
  'inv_gamma',
  'min_decay',
  'optimization_step',
  'power',
  'update_after_step',
  'use_ema_warmup',
]);

function checkFields(config: ConfigReader): void {
  const className = config.raw('_class_name');
  if (className === 'UNet2DConditionModel') {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${config.source}: a UNet2DConditionModel sees a text: its pipeline is for TextToImage.load and dpm generate, alone it is for ConditionalUNet.load`,
    );
  }
  if (className !== undefined && className !== 'UNet2DModel') throw config.unsupported('_class_name', 'UNet2DModel');
  for (const name of config.names()) {
    if (!name.startsWith('_') && !knownFields.has(name) && !trainingFields.has(name)) {
      throw new DpmError('ERR_DPM_UNSUPPORTED', `${config.source}: the field ${name.slice(0, 80)} is not supported`);
    }
  }
}

/** Number of classes; labels that are embedded like times have no limit except the integers exact in float32. */
function readClasses(
  config: ConfigReader,
  { timeRows }: Pick<DiffusersConfig, 'timeRows'>,
): Pick<DiffusersConfig, 'classes' | 'classEmbedding'> {
  const type = config.raw('class_embed_type') ?? null;
  if (type === 'identity') return { classes: 0, classEmbedding: 'given' };
  if (type !== null && type !== 'timestep') throw config.unsupported('class_embed_type', 'null, timestep and identity');
  const classes = config.integerOrNull('num_class_embeds', null, { least: 1, most: 2 ** 24 });
  if (type === null) return { classes: classes ?? 0, classEmbedding: 'row' };
  const known = timeRows ?? 2 ** 24;
  return { classes: Math.min(classes ?? known, known), classEmbedding: 'time' };
}

function readTimeFeatures(config: ConfigReader): Pick<DiffusersConfig, 'timeFeatures' | 'timeRows'> {
  const chosen = config.choice('time_embedding_type', 'positional', timeFeatures);
  const range = { least: 1, most: 10_000_000 };
  return {
    timeFeatures: chosen,
    timeRows: chosen === 'learned' ? config.integer('num_train_timesteps', undefined, range) : null,
  };
}

function readSize(config: ConfigReader, imageSize: ImageSize | undefined): { height: number; width: number } {
  if (imageSize !== undefined) return sidesOf(imageSize);
  const value = config.raw('sample_size') ?? null;
  if (value === null) {
    throw config.error('sample_size', 'one size or [height, width]; where it does not say any, give imageSize');
  }
  if (Array.isArray(value)) {
    const sizes = config.integers('sample_size', undefined, sideRange);
    if (sizes.length !== 2) throw config.error('sample_size', 'one size or [height, width]');
    return { height: at(sizes, 0), width: at(sizes, 1) };
  }
  const size = config.integer('sample_size', undefined, sideRange);
  return { height: size, width: size };
}

function readBlockTypes<T extends string>(
  config: ConfigReader,
  name: string,
  absent: readonly T[],
  supported: readonly T[],
): T[] {
  return config.strings(name, absent).map((given) => {
    const type = given.replace(/^UNetRes/, '');
    const found = supported.find((each) => each === type);
    if (found === undefined) {
      throw new DpmError(
        'ERR_DPM_UNSUPPORTED',
        `${config.source}: ${name} '${given.slice(0, 80)}' is not supported; supported: ${supported.join(', ')}`,
      );
    }
    return found;
  });
}

/** The weights of google/ddpm-* have one head; their early configurations do not say so and the default came later. */
function defaultHeadChannels(config: ConfigReader): number | null {
  const origin = config.raw('_name_or_path');
  return typeof origin === 'string' && origin.startsWith('google/ddpm-') ? null : 8;
}

function readMidBlock(config: ConfigReader): boolean {
  if (config.has('mid_block_type') && config.raw('mid_block_type') === null) return false;
  config.choice('mid_block_type', 'UNetMidBlock2D', ['UNetMidBlock2D']);
  return true;
}

/** The library's two names for one function are one. */
function readActivation(config: ConfigReader): Activation {
  const name = config.choice('act_fn', 'silu', ['silu', 'swish', 'mish', 'gelu', 'relu']);
  return name === 'swish' ? 'silu' : name;
}

/** Checks blocks beside which an image goes down, or a result grows; diffusers resamples it only in these, so no other may be between. */
function checkImages(config: ConfigReader, { downBlocks, upBlocks }: DiffusersConfig): void {
  const isSkip = (type: string): boolean => type.includes('Skip');
  // The innermost block going down and the outermost going up have no part of the image.
  const down = downBlocks.slice(0, downBlocks.slice(0, -1).findLastIndex(isSkip) + 1);
  if (!down.every(isSkip)) {
    throw config.unsupported('down_block_types', 'Skip blocks in every place before the last of them');
  }
  const first = upBlocks.slice(0, -1).findIndex(isSkip);
  if (first >= 0 && !upBlocks.slice(first).every(isSkip)) {
    throw config.unsupported('up_block_types', 'Skip blocks in every place after the first of them');
  }
}

function checkConsistency(config: ConfigReader, parsed: DiffusersConfig, isResized: boolean): void {
  const levels = parsed.channels.length;
  if (levels < 1 || levels > 16) throw config.error('block_out_channels', 'a list of 1 to 16 widths');
  if (parsed.downBlocks.length !== levels)
    throw config.error('down_block_types', `${levels} blocks, as block_out_channels has`);
  if (parsed.upBlocks.length !== levels)
    throw config.error('up_block_types', `${levels} blocks, as block_out_channels has`);
  const factor = 2 ** (levels - 1);
  // A size of the caller's is checked with the network (`resized`).
  if (!isResized && (parsed.height % factor !== 0 || parsed.width % factor !== 0)) {
    throw config.error('sample_size', `divisible by ${factor} for ${levels} levels`);
  }
  if (at(parsed.channels, 0) % 2 !== 0)
    throw config.error('block_out_channels', 'even in the first width, for the time embedding');
}

/**
 * Reads a diffusers `UNet2DModel` configuration with diffusers' defaults: an absent field takes the default, an
 * explicit null is a value.
 *
 * @param imageSize - Size that replaces the configuration's.
 * @throws {@link DpmError} `ERR_DPM_CONFIG` for a wrong value, `ERR_DPM_UNSUPPORTED` for an unsupported one, naming the
 * field.
 */
export function parseDiffusersConfig(
  raw: Readonly<Record<string, unknown>>,
  source: string,
  imageSize?: ImageSize,
): DiffusersConfig {
  const config = new ConfigReader(
    Object.fromEntries(Object.entries(raw).map(([name, value]) => [oldNames.get(name) ?? name, value])),
    source,
  );
  checkFields(config);
  const channels = config.integers('block_out_channels', [224, 448, 672, 896], widthRange);
  const midScale = config.number('mid_block_scale_factor', 1);
  if (midScale === 0) throw config.error('mid_block_scale_factor', 'not 0');
  const time = readTimeFeatures(config);
  const parsed: DiffusersConfig = {
    ...readSize(config, imageSize),
    inChannels: config.integer('in_channels', 3, widthRange),
    outChannels: config.integer('out_channels', 3, widthRange),
    centerInput: config.boolean('center_input_sample', false),
    ...time,
    freqShift: config.number('freq_shift', 0),
    flipSinToCos: config.boolean('flip_sin_to_cos', true),
    timeEmbedding: config.integerOrNull('time_embedding_dim', null, widthRange) ?? 4 * (channels[0] ?? 0),
    downBlocks: readBlockTypes(
      config,
      'down_block_types',
      ['DownBlock2D', 'AttnDownBlock2D', 'AttnDownBlock2D', 'AttnDownBlock2D'],
      downBlockTypes,
    ),
    upBlocks: readBlockTypes(
      config,
      'up_block_types',
      ['AttnUpBlock2D', 'AttnUpBlock2D', 'AttnUpBlock2D', 'UpBlock2D'],
      upBlockTypes,
    ),
    channels,
    layers: config.integer('layers_per_block', 2, { least: 1, most: 64 }),
    hasMidBlock: readMidBlock(config),
    midScale: 1 / midScale,
    padding: config.integer('downsample_padding', 1, { least: 0, most: 1 }) === 1 ? 'symmetric' : 'asymmetric',
    downsample: config.choice('downsample_type', 'conv', ['conv', 'resnet']),
    upsample: config.choice('upsample_type', 'conv', ['conv', 'resnet']),
    headChannels: config.integerOrNull('attention_head_dim', defaultHeadChannels(config), widthRange),
    normGroups: config.integerOrNull('norm_num_groups', 32, widthRange),
    midAttentionGroups: config.integerOrNull('attn_norm_num_groups', null, widthRange),
    epsilon: config.positive('norm_eps', 1e-5),
    activation: readActivation(config),
    scaleShift: config.choice('resnet_time_scale_shift', 'default', ['default', 'scale_shift']) === 'scale_shift',
    addAttention: config.boolean('add_attention', true),
    ...readClasses(config, time),
  };
  checkConsistency(config, parsed, imageSize !== undefined);
  checkImages(config, parsed);
  return parsed;
}
