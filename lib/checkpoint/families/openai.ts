import { at } from '../../base/arrays.js';
import { ConfigReader, widthRange } from '../../files/config-reader.js';
import { BlockList } from '../../network/block-list.js';
import { NoiseSchedule } from '../../schedule/noise-schedule.js';
import type { ScheduleOptions } from '../../schedule/schedule-options.js';
import { familyHead, readEmbeddedHead, type EmbeddedHead } from '../family-config.js';
import { staticClip, stepRange } from '../family-schedule.js';
import { flatLayout, type Family, type FamilyNetwork, type TensorSource } from '../family.js';
import { fusedProjections } from '../fused-projections.js';
import { renamed, type Renames } from '../renames.js';

/** Canonical names to those of OpenAI's improved-diffusion and guided-diffusion. */
const renames: Renames = [
  [/^conv_in\./, 'input_blocks.0.0.'],
  [/^time_embedding\.linear_1\./, 'time_embed.0.'],
  [/^time_embedding\.linear_2\./, 'time_embed.2.'],
  [/^class_embedding\./, 'label_emb.'],
  [/^conv_norm_out\./, 'out.0.'],
  [/^conv_out\./, 'out.2.'],
  [/^(.+)\.norm1\./, '$1.in_layers.0.'],
  [/^(.+)\.conv1\./, '$1.in_layers.2.'],
  [/time_emb_proj\./, 'emb_layers.1.'],
  [/^(.+)\.norm2\./, '$1.out_layers.0.'],
  [/^(.+)\.conv2\./, '$1.out_layers.3.'],
  [/conv_shortcut\./, 'skip_connection.'],
  [/group_norm\./, 'norm.'],
  [/\.to_out\.0\./, '.proj_out.'],
];

/** The head's, which sits before or after a residual block of its own. */
const simpleHead: Renames = [
  [/^head\.norm_out\./, 'out2.0.'],
  [/^head\.conv_out\./, 'out2.2.'],
];
const complexHead: Renames = [
  [/^head\.resnet\./, 'out2.0.'],
  [/^head\.norm_out\./, 'out2.1.'],
  [/^head\.conv_out\./, 'out2.3.'],
];

interface OpenAiConfig {
  size: number;
  inChannels: number;
  width: number;
  outChannels: number;
  blocks: number;
  /** Downsampling factors at which there is attention. */
  attention: number[];
  multipliers: number[];
  convolves: boolean;
  scaleShift: boolean;
  classes: number;
  residualResampling: boolean;
  newOrder: boolean;
  heads: number;
  headsUp: number;
  headChannels: number;
  head: EmbeddedHead | null;
}

const fields = [
  'family',
  'variant',
  'image_size',
  'in_channels',
  'model_channels',
  'out_channels',
  'num_res_blocks',
  'attention_resolutions',
  'channel_mult',
  'conv_resample',
  'dims',
  'dropout',
  'use_checkpoint',
  'use_fp16',
  'num_classes',
  'num_heads',
  'num_heads_upsample',
  'num_head_channels',
  'use_scale_shift_norm',
  'resblock_updown',
  'use_new_attention_order',
  'head',
  // Of the diffusion: the noise schedule is read from these.
  'learn_sigma',
  'noise_schedule',
  'diffusion_steps',
  'rescale_timesteps',
  'first_timestep',
  'sigma_small',
];

function parse(raw: Readonly<Record<string, unknown>>, source: string): OpenAiConfig {
  const config = new ConfigReader(raw, source);
  config.onlyFields(fields);
  config.choice('variant', 'guided-diffusion', ['improved-diffusion', 'guided-diffusion']);
  if (config.integer('dims', 2, { least: 1, most: 3 }) !== 2) throw config.unsupported('dims', '2');
  const multipliers = config.numbersOrNull('channel_mult') ?? [1, 2, 4, 8];
  if (multipliers.some((each) => !(each > 0 && each <= 1024))) throw config.error('channel_mult', 'positive numbers');
  const range = { least: -1, most: 65_536 };
  const heads = config.integer('num_heads', 1, range);
  const headsUp = config.integer('num_heads_upsample', -1, range);
  const inChannels = config.integer('in_channels', 3, widthRange);
  return {
    size: config.levelSize('image_size', multipliers),
    inChannels,
    width: config.integer('model_channels', undefined, widthRange),
    outChannels: config.integer('out_channels', 3, widthRange),
    blocks: config.integer('num_res_blocks', undefined, { least: 1, most: 64 }),
    attention: config.integers('attention_resolutions', undefined, { least: 1, most: 65_536 }),
    multipliers,
    convolves: config.boolean('conv_resample', true),
    scaleShift: config.boolean('use_scale_shift_norm', false),
    classes: config.integerOrNull('num_classes', null, { least: 1, most: 1_000_000 }) ?? 0,
    residualResampling: config.boolean('resblock_updown', false),
    newOrder: config.boolean('use_new_attention_order', false),
    heads,
    headsUp: headsUp === -1 ? heads : headsUp,
    headChannels: config.integer('num_head_channels', -1, range),
    head: readEmbeddedHead(config, inChannels),
  };
}

class OpenAiBlocks {
  readonly list: BlockList;
  readonly #config: OpenAiConfig;
  #factor = 1;

  constructor(config: OpenAiConfig, source: string) {
    this.#config = config;
    this.list = new BlockList(
      {
        source,
        groups: () => 32,
        epsilon: 1e-5,
        timeMode: config.scaleShift ? 'scale-shift' : 'add',
        scale: 1,
      },
      this.#widthOf(0),
    );
    this.#encode();
    this.#middle();
    this.#decode();
  }

  #widthOf(level: number): number {
    return Math.trunc(at(this.#config.multipliers, level) * this.#config.width);
  }

  #attention(name: string, heads: number): void {
    const { headChannels } = this.#config;
    this.list.attention(name, headChannels === -1 ? heads : this.list.channels / headChannels);
  }

  #attends(): boolean {
    return this.#config.attention.includes(this.#factor);
  }

  #encode(): void {
    const { blocks, multipliers, heads, residualResampling, convolves } = this.#config;
    let index = 1;
    for (let level = 0; level < multipliers.length; ++level) {
      for (let block = 0; block < blocks; ++block, ++index) {
        this.list.residual(`input_blocks.${index}.0`, this.#widthOf(level));
        if (this.#attends()) this.#attention(`input_blocks.${index}.1`, heads);
        this.list.push();
      }
      if (level === multipliers.length - 1) return;
      const name = `input_blocks.${index++}.0`;
      if (residualResampling) this.list.residual(name, this.list.channels, 'mean');
      else if (convolves) this.list.downsample(`${name}.op`, 'symmetric');
      else this.list.resample('mean');
      this.list.push();
      this.#factor *= 2;
    }
  }

  #middle(): void {
    this.list.residual('middle_block.0', this.list.channels);
    this.#attention('middle_block.1', this.#config.heads);
    this.list.residual('middle_block.2', this.list.channels);
  }

  #decode(): void {
    const { blocks, multipliers, headsUp, residualResampling, convolves } = this.#config;
    let index = 0;
    for (let level = multipliers.length - 1; level >= 0; --level) {
      for (let block = 0; block <= blocks; ++block, ++index) {
        let part = 0;
        this.list.pop();
        this.list.residual(`output_blocks.${index}.${part++}`, this.#widthOf(level));
        if (this.#attends()) this.#attention(`output_blocks.${index}.${part++}`, headsUp);
        if (level === 0 || block < blocks) continue;
        const name = `output_blocks.${index}.${part}`;
        if (residualResampling) this.list.residual(name, this.list.channels, 'nearest');
        else if (convolves) this.list.upsample(`${name}.conv`);
        else this.list.resample('nearest');
        this.#factor /= 2;
      }
    }
  }
}

function openAiNetwork(raw: Readonly<Record<string, unknown>>, source: string): FamilyNetwork {
  const config = parse(raw, source);
  const { list } = new OpenAiBlocks(config, source);
  const fused = fusedProjections(list.blocks, config.newOrder ? 'by-part' : 'by-head', [1]);
  const base = Math.trunc(at(config.multipliers, 0) * config.width);
  const { head } = config;
  const names = [...(head?.complex === true ? complexHead : simpleHead), ...renames];
  /** With a head the network's own outputs beyond the image are not used. */
  const outChannels = head === null ? config.outChannels : Math.min(config.outChannels, config.inChannels);
  const sourceOf = (name: string, shape: readonly number[]): TensorSource => {
    const projection = fused(name, shape);
    if (projection !== null) return projection;
    const key = renamed(names, name);
    if (name.startsWith('conv_out.') && outChannels !== config.outChannels) {
      const fileShape = [config.outChannels, ...shape.slice(1)];
      return { key, shape: fileShape, view: { offset: 0, dims: shape, strides: rowMajor(shape) } };
    }
    return name.endsWith('.to_out.0.weight') ? { key, shape: [...shape, 1] } : { key };
  };
  return {
    unet: {
      inChannels: config.inChannels,
      outChannels,
      height: config.size,
      width: config.size,
      baseChannels: base,
      centerInput: false,
      time: { channels: config.width, embedding: 4 * config.width, shift: 0, order: 'cos-sin' },
      classes: config.classes,
      blocks: list.blocks,
      output: { groups: 32, epsilon: 1e-5 },
      head: null,
    },
    ...familyHead(head, 32, 1e-5),
    source: sourceOf,
    ignores: () => false,
  };
}

function rowMajor(shape: readonly number[]): number[] {
  let stride = 1;
  const strides = [...shape].reverse().map((size) => {
    const own = stride;
    stride *= size;
    return own;
  });
  return strides.reverse();
}

function openAiSchedule(config: ConfigReader, options: ScheduleOptions): NoiseSchedule {
  const improved = config.string('variant', 'guided-diffusion') === 'improved-diffusion';
  const steps = config.integer('diffusion_steps', 1000, stepRange);
  // With a head the network's own variance is not used.
  const isLearned =
    (config.raw('head') ?? null) === null && config.number('out_channels', 3) === 2 * config.number('in_channels', 3);
  const first = config.integer('first_timestep', 0, { least: 0, most: 1 });
  const rescales = config.boolean('rescale_timesteps', improved);
  if (first === 1 && rescales && steps !== 1000) throw config.unsupported('first_timestep', '0 with rescale_timesteps');
  const common: ScheduleOptions = {
    networkTime: first === 1 ? 'index1' : rescales ? 'rescaled' : 'index',
    ...options,
    defaults: {
      clip: staticClip(options),
      variance: isLearned ? 'learned' : config.boolean('sigma_small', false) ? 'beta-tilde' : 'beta',
      ...options.defaults,
    },
  };
  return config.choice('noise_schedule', 'linear', ['linear', 'cosine']) === 'linear'
    ? NoiseSchedule.linear({ steps, ...common })
    : NoiseSchedule.cosine({ steps, ...common });
}

/** OpenAI's improved-diffusion (Nichol & Dhariwal 2021) and guided-diffusion (Dhariwal & Nichol 2021). */
export const openai: Family = {
  name: 'openai',
  recognise: (names) =>
    names.has('input_blocks.0.0.weight') && names.has('time_embed.0.weight') ? 'input_blocks.0.0.weight' : null,
  network: openAiNetwork,
  schedule: openAiSchedule,
  labelForNone: 'last class',
  layout: flatLayout,
};
