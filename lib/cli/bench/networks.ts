import { parseDiffusersConfig } from '../../checkpoint/diffusers-config.js';
import { diffusersNetwork } from '../../checkpoint/diffusers.js';
import type { Block, UNetDescription } from '../../network/description.js';

/** A public network that benchmarks run with random weights. */
export interface BenchNetwork {
  unet: UNetDescription;
  /** Configuration for diffusers' `UNet2DModel`, if that can build it. */
  diffusers: Record<string, unknown> | null;
}

const diffusersDefaults = {
  _class_name: 'UNet2DModel',
  in_channels: 3,
  out_channels: 3,
  layers_per_block: 2,
  downsample_padding: 0,
  freq_shift: 1,
  flip_sin_to_cos: false,
  norm_eps: 1e-6,
  norm_num_groups: 32,
  attention_head_dim: null,
};

function fromDiffusers(name: string, config: Record<string, unknown>): BenchNetwork {
  const diffusers = { ...diffusersDefaults, ...config };
  return { unet: diffusersNetwork(parseDiffusersConfig(diffusers, name), name), diffusers };
}

const base = 128;
const multipliers = [1, 2, 2, 2];
const attentionSize = 16;
const groups = 32;
const epsilon = 1e-6;
const rescale = Math.SQRT1_2;

/** Makes DDPM++ for 32 x 32 images (Song et al. 2021, "Score-based generative modeling through SDEs", appendix H). */
function ddpmpp(blocksPerLevel: number): BenchNetwork {
  const blocks: Block[] = [{ kind: 'push' }];
  const skips = [base];
  let channels = base;
  let size = 32;
  const residual = (name: string, to: number, resample: 'none' | 'mean' | 'nearest' = 'none') => {
    const shortcut = channels === to && resample === 'none' ? 'identity' : 'convolution';
    const common = { groups1: groups, groups2: groups, epsilon, timeMode: 'add', scale: rescale } as const;
    blocks.push({ kind: 'residual', name, inChannels: channels, outChannels: to, resample, shortcut, ...common });
    channels = to;
  };
  const attention = (name: string) => {
    blocks.push({ kind: 'attention', name, channels, heads: 1, groups, epsilon, scale: rescale });
  };
  const push = () => {
    blocks.push({ kind: 'push' });
    skips.push(channels);
  };
  const last = multipliers.length - 1;
  for (const [level, multiplier] of multipliers.entries()) {
    for (let block = 0; block < blocksPerLevel; ++block) {
      residual(`down_blocks.${level}.resnets.${block}`, base * multiplier);
      if (size === attentionSize) attention(`down_blocks.${level}.attentions.${block}`);
      push();
    }
    if (level === last) break;
    residual(`down_blocks.${level}.downsamplers.0`, channels, 'mean');
    size /= 2;
    push();
  }
  residual('mid_block.resnets.0', channels);
  attention('mid_block.attentions.0');
  residual('mid_block.resnets.1', channels);
  for (const [index, multiplier] of multipliers.toReversed().entries()) {
    for (let block = 0; block <= blocksPerLevel; ++block) {
      blocks.push({ kind: 'pop' });
      channels += skips.pop() ?? 0;
      residual(`up_blocks.${index}.resnets.${block}`, base * multiplier);
    }
    if (size === attentionSize) attention(`up_blocks.${index}.attentions.0`);
    if (index === last) break;
    residual(`up_blocks.${index}.upsamplers.0`, channels, 'nearest');
    size *= 2;
  }
  const unet: UNetDescription = {
    inChannels: 3,
    outChannels: 3,
    height: 32,
    width: 32,
    baseChannels: base,
    centerInput: false,
    time: { channels: base, embedding: 4 * base, shift: 1, order: 'sin-cos' },
    classes: 0,
    blocks,
    output: { groups, epsilon },
    head: null,
  };
  return { unet, diffusers: null };
}

/** The networks by their names. */
export const benchNetworks: Readonly<Record<string, BenchNetwork>> = {
  'ddpm-cifar10-32': fromDiffusers('ddpm-cifar10-32', {
    sample_size: 32,
    block_out_channels: [128, 256, 256, 256],
    down_block_types: ['DownBlock2D', 'AttnDownBlock2D', 'DownBlock2D', 'DownBlock2D'],
    up_block_types: ['UpBlock2D', 'UpBlock2D', 'AttnUpBlock2D', 'UpBlock2D'],
  }),
  'ddpm-celebahq-256': fromDiffusers('ddpm-celebahq-256', {
    sample_size: 256,
    block_out_channels: [128, 128, 256, 256, 512, 512],
    down_block_types: [...new Array<string>(4).fill('DownBlock2D'), 'AttnDownBlock2D', 'DownBlock2D'],
    up_block_types: ['UpBlock2D', 'AttnUpBlock2D', ...new Array<string>(4).fill('UpBlock2D')],
  }),
  'ddpmpp-deep': ddpmpp(8),
};
