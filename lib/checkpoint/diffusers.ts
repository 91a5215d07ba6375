import { at } from '../arrays.js';
import { DpmError } from '../errors.js';
import type { NativeBlock, NativeUNet } from '../native.js';
import type { DiffusersConfig } from './diffusers-config.js';

/** Builds the blocks of a `UNet2DModel` in the order they run. */
class BlockBuilder {
  readonly blocks: NativeBlock[] = [];

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
    resample: 'none' | 'mean' | 'nearest' = 'none',
    scale = 1,
  ): void {
    this.blocks.push({
      kind: 'residual',
      name,
      inChannels,
      outChannels,
      groups1: this.groupsFor(inChannels, name),
      groups2: this.groupsFor(outChannels, name),
      epsilon: this.config.epsilon,
      timeMode: this.config.scaleShift ? 'scale-shift' : 'add',
      resample,
      shortcut: inChannels === outChannels ? 'identity' : 'convolution',
      scale,
    });
  }

  attention(name: string, channels: number, groups: number, scale = 1): void {
    const headChannels = this.config.headChannels ?? channels;
    const heads = Math.floor(channels / headChannels);
    if (heads * headChannels !== channels) {
      throw new DpmError(
        'ERR_DPM_CONFIG',
        `${this.source}: ${name} has ${channels} channels, not divisible by attention_head_dim ${headChannels}`,
      );
    }
    this.blocks.push({ kind: 'attention', name, channels, heads, groups, epsilon: this.config.epsilon, scale });
  }

  push(): void {
    this.blocks.push({ kind: 'push' });
  }

  down(level: number): void {
    const { channels, downBlocks, layers, padding } = this.config;
    const type = at(downBlocks, level);
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
    if (byResidual) this.residual(`${prefix}.downsamplers.0`, width, width, 'mean');
    else this.blocks.push({ kind: 'downsample', name: `${prefix}.downsamplers.0.conv`, channels: width, padding });
    this.push();
  }

  middle(): void {
    const { channels, midScale, addAttention } = this.config;
    const width = at(channels, channels.length - 1);
    this.residual('mid_block.resnets.0', width, width, 'none', midScale);
    if (addAttention) this.attention('mid_block.attentions.0', width, this.middleGroups(width), midScale);
    this.residual('mid_block.resnets.1', width, width, 'none', midScale);
  }

  /** The middle attention has a norm when the configuration asks for one, or by default without scale and shift. */
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
    if (byResidual) this.residual(`${prefix}.upsamplers.0`, width, width, 'nearest');
    else this.blocks.push({ kind: 'upsample', name: `${prefix}.upsamplers.0.conv`, channels: width });
  }
}

/**
 * The canonical network of a diffusers `UNet2DModel`.
 *
 * @param source - Named in errors, e.g. the configuration's path.
 * @throws {@link DpmError} `ERR_DPM_CONFIG` when widths do not divide into groups or heads.
 */
export function diffusersNetwork(config: DiffusersConfig, source: string): NativeUNet {
  const builder = new BlockBuilder(config, source);
  const levels = config.channels.length;
  const base = at(config.channels, 0);
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
      channels: base,
      embedding: config.timeEmbedding,
      shift: config.freqShift,
      order: config.flipSinToCos ? 'cos-sin' : 'sin-cos',
    },
    classes: config.classes,
    blocks: builder.blocks,
    output: { groups: builder.groupsFor(base, 'conv_norm_out'), epsilon: config.epsilon },
    head: null,
  };
}

const oldPrefixes: readonly [RegExp, string][] = [
  [/^time_steps\./, 'time_proj.'],
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
