import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { quarterGroups } from '../network/block-list.js';
import type { Block, Resampling, UNetDescription } from '../network/description.js';
import type { DiffusersConfig } from './diffusers-config.js';

/** Builder of the blocks of a `UNet2DModel` in the order they run. */
class BlockBuilder {
  readonly blocks: Block[] = [];

  constructor(
    private readonly config: DiffusersConfig,
    private readonly source: string,
  ) {}

  groupsFor(channels: number, name: string): number {
    const groups = this.config.normGroups ?? Math.min(Math.floor(channels / 4), 32);
    return this.checkedGroups(groups, channels, name);
  }

  checkedGroups(groups: number, channels: number, name: string): number {
    if (groups < 1 || channels % groups !== 0) {
      throw new DpmError(
        'ERR_DPM_CONFIG',
        `${this.source}: ${name} has ${channels} channels, not divisible into ${groups} groups`,
      );
    }
    return groups;
  }

  residual(
    name: string,
    inChannels: number,
    outChannels: number,
    options: {
      resample?: 'none' | Resampling;
      scale?: number;
      groups?: [number, number];
      shortcut?: boolean;
    } = {},
  ): void {
    const { resample = 'none', scale = 1, groups, shortcut = false } = options;
    this.blocks.push({
      kind: 'residual',
      name,
      inChannels,
      outChannels,
      groups1:
        groups === undefined ? this.groupsFor(inChannels, name) : this.checkedGroups(groups[0], inChannels, name),
      groups2:
        groups === undefined ? this.groupsFor(outChannels, name) : this.checkedGroups(groups[1], outChannels, name),
      epsilon: this.config.epsilon,
      timeMode: this.config.scaleShift ? 'scale-shift' : 'add',
      activation: this.config.activation,
      resample,
      shortcut: shortcut || inChannels !== outChannels ? 'convolution' : 'identity',
      scale,
    });
  }

  attention(name: string, channels: number, groups: number, scale = 1): void {
    const headChannels = this.config.headChannels ?? channels;
    // Heads of diffusers have the given width; the remaining channels are left out.
    const heads = Math.floor(channels / headChannels);
    if (heads < 1) {
      throw new DpmError(
        'ERR_DPM_CONFIG',
        `${this.source}: ${name} has ${channels} channels, fewer than one head of attention_head_dim ${headChannels}`,
      );
    }
    const inner = heads * headChannels;
    this.blocks.push({ kind: 'attention', name, channels, inner, heads, groups, epsilon: this.config.epsilon, scale });
  }

  push(): void {
    this.blocks.push({ kind: 'push' });
  }

  down(level: number): void {
    const { channels, downBlocks, layers, padding } = this.config;
    const type = at(downBlocks, level);
    if (type === 'SkipDownBlock2D' || type === 'AttnSkipDownBlock2D') {
      this.skipDown(level, type === 'AttnSkipDownBlock2D');
      return;
    }
    const width = at(channels, level);
    const prefix = `down_blocks.${level}`;
    for (let layer = 0; layer < layers; ++layer) {
      const from = layer > 0 ? width : at(channels, Math.max(level - 1, 0));
      this.residual(`${prefix}.resnets.${layer}`, from, width);
      if (type === 'AttnDownBlock2D') {
        const name = `${prefix}.attentions.${layer}`;
        this.attention(name, width, this.groupsFor(width, name));
      }
      this.push();
    }
    if (level === channels.length - 1) return;
    const byResidual =
      type === 'ResnetDownsampleBlock2D' || (type === 'AttnDownBlock2D' && this.config.downsample === 'resnet');
    if (byResidual) this.residual(`${prefix}.downsamplers.0`, width, width, { resample: 'mean' });
    else this.blocks.push({ kind: 'downsample', name: `${prefix}.downsamplers.0.conv`, channels: width, padding });
    this.push();
  }

  middle(): void {
    const { channels, midScale, addAttention } = this.config;
    const width = at(channels, channels.length - 1);
    this.residual('mid_block.resnets.0', width, width, { scale: midScale });
    if (addAttention) this.attention('mid_block.attentions.0', width, this.middleGroups(width), midScale);
    this.residual('mid_block.resnets.1', width, width, { scale: midScale });
  }

  /** Adds NCSN++'s encoder block, beside which the image is made smaller (Song et al. 2021). */
  private skipDown(level: number, attends: boolean): void {
    const { channels, layers, inChannels } = this.config;
    const width = at(channels, level);
    const prefix = `down_blocks.${level}`;
    for (let layer = 0; layer < layers; ++layer) {
      const from = layer > 0 ? width : at(channels, Math.max(level - 1, 0));
      const groups: [number, number] = [quarterGroups(from), quarterGroups(width)];
      this.residual(`${prefix}.resnets.${layer}`, from, width, { scale: Math.SQRT1_2, groups });
      if (attends) this.attention(`${prefix}.attentions.${layer}`, width, 32, Math.SQRT1_2);
      this.push();
    }
    if (level === channels.length - 1) return;
    const groups: [number, number] = [quarterGroups(width), quarterGroups(width)];
    this.residual(`${prefix}.resnet_down`, width, width, {
      resample: 'fir-down',
      scale: Math.SQRT1_2,
      groups,
      shortcut: true,
    });
    this.blocks.push({ kind: 'image-resample', method: 'fir-down' });
    const name = `${prefix}.skip_conv`;
    this.blocks.push({ kind: 'image-combine', name, from: inChannels, channels: width, method: 'sum' });
    this.push();
  }

  /** Adds NCSN++'s decoder block, which adds its part of the image to the result. */
  private skipUp(index: number, attends: boolean): void {
    const { channels, layers, outChannels, epsilon } = this.config;
    const levels = channels.length;
    const level = levels - 1 - index;
    const width = at(channels, level);
    const prefix = `up_blocks.${index}`;
    for (let layer = 0; layer <= layers; ++layer) {
      const from = layer > 0 ? width : at(channels, Math.min(level + 1, levels - 1));
      const skip = layer < layers ? width : at(channels, Math.max(level - 1, 0));
      // The library divides the skip's channels alone by 4 in blocks with attention.
      const first = attends ? Math.min(from + Math.floor(skip / 4), 32) : quarterGroups(from + skip);
      this.blocks.push({ kind: 'pop' });
      this.residual(`${prefix}.resnets.${layer}`, from + skip, width, {
        scale: Math.SQRT1_2,
        groups: [first, quarterGroups(width)],
      });
    }
    if (attends) this.attention(`${prefix}.attentions.0`, width, 32, Math.SQRT1_2);
    // Inner blocks of other kinds make no part of the image.
    const hasResult = this.blocks.some(({ kind }) => kind === 'result-add');
    if (hasResult) this.blocks.push({ kind: 'result-resample', method: 'fir-up' });
    if (level === 0) return;
    const groups = quarterGroups(width);
    this.blocks.push({
      kind: 'result-add',
      norm: `${prefix}.skip_norm`,
      name: `${prefix}.skip_conv`,
      channels: width,
      to: outChannels,
      groups,
      epsilon,
    });
    this.residual(`${prefix}.resnet_up`, width, width, {
      resample: 'fir-up',
      scale: Math.SQRT1_2,
      groups: [groups, groups],
      shortcut: true,
    });
  }

  /** Counts groups of the middle attention's norm, if configured, or by default without scale and shift. */
  private middleGroups(width: number): number {
    const { midAttentionGroups, scaleShift } = this.config;
    if (midAttentionGroups !== null) return this.checkedGroups(midAttentionGroups, width, 'mid_block.attentions.0');
    return scaleShift ? 0 : this.groupsFor(width, 'mid_block.attentions.0');
  }

  up(index: number): void {
    const { channels, upBlocks, layers } = this.config;
    const levels = channels.length;
    const level = levels - 1 - index;
    const type = at(upBlocks, index);
    if (type === 'SkipUpBlock2D' || type === 'AttnSkipUpBlock2D') {
      this.skipUp(index, type === 'AttnSkipUpBlock2D');
      return;
    }
    const width = at(channels, level);
    const prefix = `up_blocks.${index}`;
    for (let layer = 0; layer <= layers; ++layer) {
      const from = layer > 0 ? width : at(channels, Math.min(level + 1, levels - 1));
      const skip = layer < layers ? width : at(channels, Math.max(level - 1, 0));
      this.blocks.push({ kind: 'pop' });
      this.residual(`${prefix}.resnets.${layer}`, from + skip, width);
      if (type === 'AttnUpBlock2D') {
        const name = `${prefix}.attentions.${layer}`;
        this.attention(name, width, this.groupsFor(width, name));
      }
    }
    if (level === 0) return;
    const byResidual =
      type === 'ResnetUpsampleBlock2D' || (type === 'AttnUpBlock2D' && this.config.upsample === 'resnet');
    if (byResidual) this.residual(`${prefix}.upsamplers.0`, width, width, { resample: 'nearest' });
    else this.blocks.push({ kind: 'upsample', name: `${prefix}.upsamplers.0.conv`, channels: width });
  }
}

/**
 * Makes the canonical network of a diffusers `UNet2DModel`.
 *
 * @param source - Name of the source in errors, e.g. the configuration's path.
 * @throws {@link DpmError} `ERR_DPM_CONFIG` if widths do not divide into groups or are less than a head's,
 * `ERR_DPM_UNSUPPORTED` if the vectors of its labels are unknown.
 */
export function diffusersNetwork(config: DiffusersConfig, source: string): UNetDescription {
  if (config.classEmbedding === 'given') {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${source}: class_embed_type identity needs the model's folder, with the vectors of the labels in it`,
    );
  }
  const builder = new BlockBuilder(config, source);
  const levels = config.channels.length;
  const base = at(config.channels, 0);
  const isFourier = config.timeFeatures === 'fourier';
  if (!(base / 2 - config.freqShift > 0)) {
    throw new DpmError('ERR_DPM_CONFIG', `${source}: freq_shift ${config.freqShift} is too large for ${base} channels`);
  }
  builder.push();
  for (let level = 0; level < levels; ++level) builder.down(level);
  if (config.hasMidBlock) builder.middle();
  for (let index = 0; index < levels; ++index) builder.up(index);
  return {
    inChannels: config.inChannels,
    outChannels: config.outChannels,
    height: config.height,
    width: config.width,
    baseChannels: base,
    centerInput: config.centerInput,
    time: {
      channels: isFourier ? 2 * base : base,
      embedding: config.timeEmbedding,
      shift: config.freqShift,
      // Fourier features of diffusers have the sines first, whatever its configuration says.
      order: config.flipSinToCos && !isFourier ? 'cos-sin' : 'sin-cos',
      fourier: isFourier ? 'logarithmic' : null,
      rows: config.timeRows,
    },
    classes: config.classes,
    classEmbedding: config.classEmbedding,
    blocks: builder.blocks,
    output: { groups: builder.groupsFor(base, 'conv_norm_out'), epsilon: config.epsilon },
    divisor: isFourier ? 'time' : null,
    head: null,
  };
}

const oldPrefixes: readonly [RegExp, string][] = [
  [/^time_steps\./, 'time_proj.'],
  [/^time_proj\.W$/, 'time_proj.weight'],
  [/^mid\./, 'mid_block.'],
  [/^downsample_blocks\./, 'down_blocks.'],
  [/^upsample_blocks\./, 'up_blocks.'],
  [/(\.attentions\.\d+)\.query\./, '$1.to_q.'],
  [/(\.attentions\.\d+)\.key\./, '$1.to_k.'],
  [/(\.attentions\.\d+)\.value\./, '$1.to_v.'],
  [/(\.attentions\.\d+)\.proj_attn\./, '$1.to_out.0.'],
  [/(\.(?:down|up)samplers\.0)\.(?:op|Conv2d_0)\./, '$1.conv.'],
];

/** The current name of a tensor that an early release of diffusers may have named differently. */
export function canonicalDiffusersName(name: string): string {
  return oldPrefixes.reduce((current, [pattern, replacement]) => current.replace(pattern, replacement), name);
}
