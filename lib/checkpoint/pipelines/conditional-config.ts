import { at } from '../../base/arrays.js';
import { isList } from '../../base/option-kinds.js';
import { ConfigReader, widthRange } from '../../files/config-reader.js';
import { LARGEST_EPSILON, requireFields, requireSilu } from './fields.js';
import type { ConditionalDescription, ConditionalLevel } from '../../network/conditional-description.js';

/** What a configuration says about a conditional U-Net. */
export interface ConditionalConfig {
  readonly description: ConditionalDescription;
  /** Side of the states where nothing else is said. */
  readonly sampleSize: number;
  /** Vector of a text's pooled states and numbers (`text_time`): the sinusoids of each number; null: there is none. */
  readonly textTime: { readonly features: number } | null;
}

const attending = { down: 'CrossAttnDownBlock2D', up: 'CrossAttnUpBlock2D' };
const plain = { down: 'DownBlock2D', up: 'UpBlock2D' };

/** Fields that change nothing while they are off, and what off is. */
const offFields: Readonly<Record<string, readonly unknown[]>> = {
  addition_embed_type_num_heads: [64],
  attention_type: ['default'],
  class_embeddings_concat: [false],
  cross_attention_norm: [null],
  dual_cross_attention: [false],
  encoder_hid_dim: [null],
  encoder_hid_dim_type: [null],
  mid_block_only_cross_attention: [null],
  mid_block_scale_factor: [1],
  num_attention_heads: [null],
  resnet_out_scale_factor: [1],
  resnet_skip_time_act: [false],
  time_embedding_act_fn: [null],
  time_embedding_type: ['positional'],
  timestep_post_act: [null],
  downsample_padding: [1],
};

const otherFields = [
  'act_fn',
  'addition_embed_type',
  'addition_time_embed_dim',
  'attention_head_dim',
  'block_out_channels',
  'center_input_sample',
  'class_embed_type',
  'conv_in_kernel',
  'conv_out_kernel',
  'cross_attention_dim',
  'down_block_types',
  'dropout',
  'flip_sin_to_cos',
  'freq_shift',
  'in_channels',
  'layers_per_block',
  'mid_block_type',
  'norm_eps',
  'norm_num_groups',
  'num_class_embeds',
  'only_cross_attention',
  'out_channels',
  'projection_class_embeddings_input_dim',
  'resnet_time_scale_shift',
  'reverse_transformer_layers_per_block',
  'sample_size',
  'time_cond_proj_dim',
  'time_embedding_dim',
  'transformer_layers_per_block',
  'up_block_types',
  'upcast_attention',
  'use_linear_projection',
];

function checkFields(config: ConfigReader): void {
  requireFields(config, [...otherFields, ...Object.keys(offFields)]);
  for (const [name, off] of Object.entries(offFields)) {
    if (!config.has(name) || off.includes(config.raw(name)) || config.raw(name) === null) continue;
    throw config.unsupported(name, off.map((value) => JSON.stringify(value)).join(' and '));
  }
  requireSilu(config);
}

/** Range of the number of layers or transformer blocks behind each other. */
const depthRange = { least: 1, most: 64 };

/** Most layers and transformer blocks of a network; SDXL has 90. Graphs of more would take gigabytes before any weight is compared. */
const MOST_BLOCKS = 1024;

/** Reads a number for all levels, or a list with one for each. */
function perLevel(
  config: ConfigReader,
  name: string,
  absent: number,
  levels: number,
  range: typeof widthRange = widthRange,
): number[] {
  if (!isList(config.raw(name))) return new Array<number>(levels).fill(config.integer(name, absent, range));
  const values = config.integers(name, undefined, range);
  if (values.length !== levels) throw config.error(name, `one number, or one for each of ${levels} levels`);
  return values;
}

function flags(config: ConfigReader, name: string, levels: number): boolean[] {
  const value = config.raw(name);
  if (!isList(value)) return new Array<boolean>(levels).fill(config.boolean(name, false));
  const values: readonly unknown[] = value;
  const all = values.flatMap((each) => (typeof each === 'boolean' ? [each] : []));
  if (all.length !== levels || values.length !== levels)
    throw config.error(name, `true or false for each of ${levels} levels`);
  return all;
}

/** Tells for each block whether it attends to the context. */
function attends(config: ConfigReader, way: 'down' | 'up', absent: readonly string[], levels: number): boolean[] {
  const name = `${way}_block_types`;
  const types = config.strings(name, absent);
  if (types.length !== levels) throw config.error(name, `one block for each of ${levels} levels`);
  return types.map((type) => {
    if (type !== attending[way] && type !== plain[way])
      throw config.unsupported(name, `${attending[way]}, ${plain[way]}`);
    return type === attending[way];
  });
}

function readLevels(config: ConfigReader): ConditionalLevel[] {
  const channels = config.integers('block_out_channels', [320, 640, 1280, 1280], widthRange);
  const count = channels.length;
  if (count < 1 || count > 8) throw config.error('block_out_channels', 'a width for each of 1 to 8 levels');
  const { down, up } = attending;
  const attendsDown = attends(config, 'down', [down, down, down, plain.down], count);
  const attendsUp = attends(config, 'up', [plain.up, up, up, up], count);
  const layers = perLevel(config, 'layers_per_block', 2, count, depthRange);
  const heads = perLevel(config, 'attention_head_dim', 8, count);
  const depth = perLevel(config, 'transformer_layers_per_block', 1, count, depthRange);
  const reversed = 'reverse_transformer_layers_per_block';
  const depthUp =
    (config.raw(reversed) ?? null) === null ? depth.toReversed() : perLevel(config, reversed, 1, count, depthRange);
  const onlyCross = flags(config, 'only_cross_attention', count);
  return channels.map((width, i) => {
    const above = count - 1 - i;
    const attended = at(attendsDown, i) || at(attendsUp, above);
    if (attended && width % at(heads, i) !== 0)
      throw config.error('attention_head_dim', `a divisor of ${width} at level ${i}`);
    return {
      channels: width,
      layers: at(layers, i),
      heads: at(heads, i),
      depthDown: at(attendsDown, i) ? at(depth, i) : 0,
      depthUp: at(attendsUp, above) ? at(depthUp, above) : 0,
      onlyCross: at(onlyCross, i),
    };
  });
}

function requireFewBlocks(config: ConfigReader, levels: readonly ConditionalLevel[]): void {
  const blocks = levels.reduce(
    (sum, { layers, depthDown, depthUp }) => sum + layers * (1 + depthDown) + (layers + 1) * (1 + depthUp),
    0,
  );
  if (blocks > MOST_BLOCKS) throw config.error('layers_per_block', `of a network of at most ${MOST_BLOCKS} blocks`);
}

function readMiddle(config: ConfigReader, levels: readonly ConditionalLevel[]): ConditionalDescription['middle'] {
  if (config.has('mid_block_type') && config.raw('mid_block_type') === null) return null;
  config.choice('mid_block_type', 'UNetMidBlock2DCrossAttn', ['UNetMidBlock2DCrossAttn']);
  const { channels, heads } = at(levels, levels.length - 1);
  if (channels % heads !== 0) throw config.error('attention_head_dim', `a divisor of ${channels} in the middle`);
  return {
    depth: at(perLevel(config, 'transformer_layers_per_block', 1, levels.length, depthRange), levels.length - 1),
  };
}

function readContextWidth(config: ConfigReader, levels: number): number {
  const widths = perLevel(config, 'cross_attention_dim', 1280, levels);
  const width = at(widths, 0);
  if (widths.some((other) => other !== width))
    throw config.unsupported('cross_attention_dim', 'one width for all levels');
  return width;
}

/** Reads what the number of frequencies is lessened by before exponents are divided by it. */
function readFrequencyShift(config: ConfigReader, frequencies: number): number {
  const shift = config.number('freq_shift', 0);
  if (Math.abs(shift) < frequencies) return shift;
  throw config.error('freq_shift', `less than the number of frequencies, ${frequencies}`);
}

function readKernel(config: ConfigReader, name: string): number {
  const kernel = config.integer(name, 3, { least: 1, most: 7 });
  if (kernel % 2 === 0) throw config.error(name, 'an odd number');
  return kernel;
}

/** Reads what is embedded beside the time: classes, a vector of the class, a text's pooled states and numbers. */
function readAdded(
  config: ConfigReader,
): Pick<ConditionalDescription, 'classes' | 'added'> & Pick<ConditionalConfig, 'textTime'> {
  const kind = config.raw('class_embed_type') ?? null;
  if (kind !== null && kind !== 'projection') throw config.unsupported('class_embed_type', 'null and projection');
  const addition = config.raw('addition_embed_type') ?? null;
  if (addition !== null && addition !== 'text_time')
    throw config.unsupported('addition_embed_type', 'null and text_time');
  const range = { least: 1, most: 2 ** 24 };
  const classes = kind === null ? (config.integerOrNull('num_class_embeds', null, range) ?? 0) : 0;
  if (kind === null && addition === null) return { classes, added: null, textTime: null };
  if (kind !== null && addition !== null)
    throw config.unsupported('addition_embed_type', 'null beside class_embed_type');
  const length = config.integer('projection_class_embeddings_input_dim', undefined, widthRange);
  if (kind !== null) return { classes, added: { name: 'class_embedding', length }, textTime: null };
  const features = config.integer('addition_time_embed_dim', undefined, { least: 2, most: 65_536 });
  if (features % 2 !== 0) throw config.error('addition_time_embed_dim', 'an even number');
  return { classes, added: { name: 'add_embedding', length }, textTime: { features } };
}

/**
 * Reads the configuration of a `UNet2DConditionModel` of diffusers.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` or `ERR_DPM_UNSUPPORTED` naming the field.
 */
export function parseConditionalConfig(raw: Readonly<Record<string, unknown>>, source: string): ConditionalConfig {
  const config = new ConfigReader(raw, source);
  config.choice('_class_name', 'UNet2DConditionModel', ['UNet2DConditionModel']);
  checkFields(config);
  const levels = readLevels(config);
  requireFewBlocks(config, levels);
  const groups = config.integer('norm_num_groups', 32, widthRange);
  if (levels.some(({ channels }) => channels % groups !== 0))
    throw config.error('norm_num_groups', 'a divisor of all widths');
  const { textTime, ...added } = readAdded(config);
  const base = at(levels, 0).channels;
  if (base % 2 !== 0) throw config.error('block_out_channels', 'an even first width');
  const timeMode = config.choice('resnet_time_scale_shift', 'default', ['default', 'scale_shift']);
  return {
    textTime,
    sampleSize: config.integerOrNull('sample_size', null, { least: 1, most: 4096 }) ?? 64,
    description: {
      ...added,
      inChannels: config.integer('in_channels', 4, widthRange),
      outChannels: config.integer('out_channels', 4, widthRange),
      levels,
      middle: readMiddle(config, levels),
      contextWidth: readContextWidth(config, levels.length),
      linearProjection: config.boolean('use_linear_projection', false),
      groups,
      epsilon: config.positive('norm_eps', 1e-5, LARGEST_EPSILON),
      timeMode: timeMode === 'default' ? 'add' : 'scale-shift',
      time: {
        embedding: config.integerOrNull('time_embedding_dim', null, widthRange) ?? 4 * base,
        shift: readFrequencyShift(config, Math.min(base, textTime?.features ?? base) / 2),
        order: config.boolean('flip_sin_to_cos', true) ? 'cos-sin' : 'sin-cos',
      },
      guidanceFeatures: config.integerOrNull('time_cond_proj_dim', null, widthRange),
      kernelIn: readKernel(config, 'conv_in_kernel'),
      kernelOut: readKernel(config, 'conv_out_kernel'),
      centerInput: config.boolean('center_input_sample', false),
    },
  };
}
