import { at } from '../../base/arrays.js';
import { type ConfigReader, widthRange } from '../../files/config-reader.js';
import { BlockList } from '../../network/block-list.js';
import type { UNetDescription } from '../../network/description.js';
import { fusedProjections, renamed, type Renames } from '../family-tensors.js';
import type { TensorSource } from '../tensor-source.js';
import { isLastLayer, type InitialRule } from '../initial-rule.js';

/** Patterns from canonical names to those of OpenAI's improved-diffusion and guided-diffusion. */
export const openAiRenames: Renames = [
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

/** Fields of the encoder in U-Nets and classifiers alike. */
export interface OpenAiEncoder {
  size: number;
  inChannels: number;
  width: number;
  blocks: number;
  /** Downsampling factors at which there is attention. */
  attention: number[];
  multipliers: number[];
  convolves: boolean;
  scaleShift: boolean;
  residualResampling: boolean;
  newOrder: boolean;
  heads: number;
  headChannels: number;
}

export const encoderFields = [
  'family',
  'image_size',
  'in_channels',
  'model_channels',
  'num_res_blocks',
  'attention_resolutions',
  'channel_mult',
  'conv_resample',
  'dims',
  'dropout',
  'use_checkpoint',
  'use_fp16',
  'num_heads',
  'num_heads_upsample',
  'num_head_channels',
  'use_scale_shift_norm',
  'resblock_updown',
  'use_new_attention_order',
];

/** PyTorch's defaults, and zeros where a block, an attention or the network ends. */
export const openAiInitial: InitialRule = { bound: 'fan-in', scale: (name) => (isLastLayer(name) ? 0 : 1) };

/** Range of numbers of heads and their widths; -1: not given. */
export const headRange = { least: -1, most: 65_536 };

/** Reads the encoder. @throws {@link DpmError} `ERR_DPM_CONFIG` or `ERR_DPM_UNSUPPORTED` naming the field. */
export function readEncoder(config: ConfigReader): OpenAiEncoder {
  if (config.integer('dims', 2, { least: 1, most: 3 }) !== 2) throw config.unsupported('dims', '2');
  const multipliers = config.numbersOrNull('channel_mult') ?? [1, 2, 4, 8];
  if (multipliers.some((each) => !(each > 0 && each <= 1024))) throw config.error('channel_mult', 'positive numbers');
  return {
    size: config.levelSize('image_size', multipliers),
    inChannels: config.integer('in_channels', 3, widthRange),
    width: config.integer('model_channels', undefined, widthRange),
    blocks: config.integer('num_res_blocks', undefined, { least: 1, most: 64 }),
    attention: config.integers('attention_resolutions', undefined, { least: 1, most: 65_536 }),
    multipliers,
    convolves: config.boolean('conv_resample', true),
    scaleShift: config.boolean('use_scale_shift_norm', false),
    residualResampling: config.boolean('resblock_updown', false),
    newOrder: config.boolean('use_new_attention_order', false),
    heads: config.integer('num_heads', 1, headRange),
    headChannels: config.integer('num_head_channels', -1, headRange),
  };
}

/** The blocks of a network: the half that goes down and the middle, and with `decode` the half that goes up. */
export class OpenAiBlocks {
  readonly list: BlockList;
  readonly #config: OpenAiEncoder;
  #factor = 1;

  constructor(config: OpenAiEncoder, source: string) {
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

  /** @param headsUp - Number of heads if their width is not given. */
  decode(headsUp: number): void {
    const { blocks, multipliers, residualResampling, convolves } = this.#config;
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

  /** Describes the common parts of networks of these blocks. */
  description(): Omit<UNetDescription, 'outChannels' | 'classes' | 'blocks' | 'head'> {
    const { inChannels, size, width } = this.#config;
    return {
      inChannels,
      height: size,
      width: size,
      baseChannels: this.#widthOf(0),
      centerInput: false,
      time: { channels: width, embedding: 4 * width, shift: 0, order: 'cos-sin' },
      output: { groups: 32, epsilon: 1e-5 },
    };
  }

  /** Finds the sources of canonical weights with the names of `names`. */
  sources(names: Renames): (name: string, shape: readonly number[]) => TensorSource {
    const fused = fusedProjections(this.list.blocks, this.#config.newOrder ? 'by-part' : 'by-head', [1]);
    return (name, shape) => {
      const projection = fused(name, shape);
      if (projection !== null) return projection;
      const key = renamed(names, name);
      return name.endsWith('.to_out.0.weight') ? { key, shape: [...shape, 1] } : { key };
    };
  }
}
