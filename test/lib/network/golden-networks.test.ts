// Golden networks of every family and layout: their weights are functions of their names, their outputs those of the
// original implementations.
import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { parameterCount } from '../../../lib/network/cost.js';
import type { UNetDescription } from '../../../lib/network/description.js';
import { unetGraph } from '../../../lib/network/unet.js';
import {
  expectOutputs,
  goldenOutputs,
  networkOf,
  type GoldenNetwork,
  type GoldenOutput,
} from '../../support/golden-network.js';
import { publishedMultiplyAdds } from '../../support/published-cost.js';
import { namedNumbers } from '../../support/splitmix.js';

interface Golden extends GoldenOutput {
  name: string;
  params: number;
  macs: number;
}

const golden = JSON.parse(
  readFileSync(new URL('../../fixtures/unet/golden-splitmix.json', import.meta.url), 'utf8'),
) as {
  cases: Golden[];
  sample: { key: string; first: number[] };
};

const diffusers = {
  _class_name: 'UNet2DModel',
  sample_size: 16,
  block_out_channels: [32, 64],
  layers_per_block: 1,
  down_block_types: ['DownBlock2D', 'AttnDownBlock2D'],
  up_block_types: ['AttnUpBlock2D', 'UpBlock2D'],
  norm_num_groups: 32,
  downsample_padding: 0,
  freq_shift: 1,
  flip_sin_to_cos: false,
  norm_eps: 1e-6,
  attention_head_dim: null,
};
const ho = {
  family: 'ho',
  ch: 32,
  out_ch: 3,
  ch_mult: [1, 2],
  num_res_blocks: 1,
  attn_resolutions: [8],
  in_channels: 3,
  resolution: 16,
};
const scoreSde = (model: object, centered = true) => ({
  family: 'score_sde',
  model: { nf: 32, ch_mult: [1, 2], num_res_blocks: 1, attn_resolutions: [8], skip_rescale: true, ...model },
  data: { image_size: 16, num_channels: 3, centered },
});
const openai = {
  family: 'openai',
  image_size: 16,
  model_channels: 32,
  out_channels: 6,
  num_res_blocks: 1,
  attention_resolutions: [2],
  channel_mult: [1, 2],
  use_scale_shift_norm: true,
};
const classifier = {
  ...openai,
  family: 'openai-classifier',
  out_channels: 10,
  resblock_updown: true,
  num_head_channels: 16,
  pool: 'attention',
};
const edm = {
  family: 'edm',
  img_resolution: 16,
  in_channels: 3,
  out_channels: 3,
  model_channels: 32,
  channel_mult: [1, 2],
  num_blocks: 1,
  attn_resolutions: [8],
  label_dim: 10,
};

interface Case extends GoldenNetwork {
  /** Start of the golden case's name. */
  id: string;
  /** Parameters and multiply-adds that the original counts and that are not needed. */
  unused?: { parameters: number; multiplyAdds?: number };
}

const cases: Case[] = [
  { id: 'A1', config: diffusers },
  {
    id: 'A2',
    config: {
      ...diffusers,
      downsample_padding: 1,
      freq_shift: 0,
      flip_sin_to_cos: true,
      attention_head_dim: 16,
      norm_eps: 1e-5,
    },
  },
  {
    id: 'A3',
    config: {
      ...diffusers,
      down_block_types: ['ResnetDownsampleBlock2D', 'AttnDownBlock2D'],
      up_block_types: ['AttnUpBlock2D', 'ResnetUpsampleBlock2D'],
      downsample_type: 'resnet',
      upsample_type: 'resnet',
      resnet_time_scale_shift: 'scale_shift',
      attention_head_dim: 16,
      freq_shift: 0,
      flip_sin_to_cos: true,
      norm_eps: 1e-5,
      attn_norm_num_groups: 32,
      num_class_embeds: 10,
    },
    label: 3,
  },
  {
    id: 'A4',
    config: {
      ...diffusers,
      down_block_types: ['SkipDownBlock2D', 'AttnSkipDownBlock2D'],
      up_block_types: ['AttnSkipUpBlock2D', 'SkipUpBlock2D'],
      time_embedding_type: 'fourier',
      norm_num_groups: null,
      mid_block_scale_factor: Math.SQRT2,
    },
    t: 0.7,
  },
  { id: 'B1', config: ho },
  { id: 'B2', config: { ...ho, head: { mode: 'complex', out_ch: 3 } }, head: true },
  { id: 'C1', config: scoreSde({ name: 'ddpm' }) },
  { id: 'C2', config: scoreSde({ name: 'ncsnpp', resblock_type: 'biggan', fir: false }), t: 17.5 },
  {
    id: 'C3',
    config: scoreSde({ name: 'ncsnpp', resblock_type: 'biggan', fir: true, progressive_input: 'residual' }),
    t: 17.5,
  },
  {
    id: 'C4',
    config: scoreSde(
      {
        name: 'ncsnpp',
        resblock_type: 'biggan',
        fir: true,
        progressive_input: 'input_skip',
        progressive: 'output_skip',
        embedding_type: 'fourier',
        scale_by_sigma: true,
      },
      false,
    ),
    t: 0.7,
  },
  {
    id: 'C5',
    config: scoreSde(
      {
        name: 'ncsnpp',
        resblock_type: 'biggan',
        fir: true,
        progressive_input: 'residual',
        scale_by_sigma: true,
      },
      false,
    ),
    t: 17,
  },
  { id: 'D1', config: { ...openai, num_heads: 4, variant: 'improved-diffusion' }, t: 17.5 },
  {
    id: 'D2',
    config: { ...openai, resblock_updown: true, num_head_channels: 16, use_new_attention_order: true, num_classes: 10 },
    label: 3,
  },
  { id: 'D3', config: { ...openai, resblock_updown: true, num_head_channels: 16 } },
  { id: 'D4', config: classifier },
  {
    id: 'D6',
    config: { ...openai, num_heads: 4, variant: 'improved-diffusion', head: { mode: 'simple', out_ch: 3 } },
    head: true,
    // The outputs beyond the image.
    unused: { parameters: 3 * (32 * 9 + 1), multiplyAdds: 3 * 32 * 9 * 16 * 16 },
  },
  { id: 'E1', config: { ...edm, kind: 'SongUNet', augment_dim: 9 }, t: -0.4, label: 3, unused: { parameters: 9 * 32 } },
  {
    id: 'E2',
    config: {
      ...edm,
      kind: 'SongUNet',
      embedding_type: 'fourier',
      channel_mult_noise: 2,
      encoder_type: 'residual',
      resample_filter: [1, 3, 3, 1],
      augment_dim: 9,
    },
    t: -0.4,
    label: 3,
    // Parameters of the augmentation; the frequencies are a buffer.
    unused: { parameters: 9 * 64 - 32 },
  },
  {
    id: 'E3',
    config: { ...edm, kind: 'DhariwalUNet', model_channels: 64, augment_dim: 9 },
    t: -0.4,
    label: 3,
    // The original multiplies by a one-hot label.
    unused: { parameters: 9 * 64, multiplyAdds: 10 * 256 },
  },
];

/** Multiply-adds of the filters of 4 x 4 taps, which the golden counts include. */
function filterCost(unet: UNetDescription): number {
  let size = unet.height;
  let total = 0;
  const filtered = (channels: number, to: number, up: number): number => (channels * to * to * 16) / (up * up);
  for (const block of unet.blocks) {
    if (block.kind === 'downsample') size /= 2;
    if (block.kind === 'upsample') size *= 2;
    if (block.kind === 'residual' && block.resample !== 'none') {
      const up = block.resample === 'nearest' || block.resample === 'fir-up' ? 2 : 1;
      size = up === 2 ? size * 2 : size / 2;
      if (block.resample.startsWith('fir')) total += 2 * filtered(block.inChannels, size, up);
    }
    // The map is resampled before the image that lies beside it.
    if (block.kind === 'image-resample') total += filtered(unet.inChannels, size, 1);
    if (block.kind === 'image-residual') total += filtered(block.from, 2 * size + 1, 1);
    if (block.kind === 'result-resample') total += filtered(unet.outChannels, size, 2);
  }
  return total;
}

describe('golden networks', () => {
  it('have the numbers of their names', () => {
    expect(namedNumbers(golden.sample.key, 3)[2]).toBeCloseTo(golden.sample.first[2]!, 15);
  });

  describe.each(['cpu', 'reference'])('on %s', (device) => {
    it.each(cases)('$id', async (each) => {
      const expected = golden.cases.find(({ name }) => name.startsWith(each.id))!;
      expectOutputs(await goldenOutputs(device, each), expected);
    });
  });

  it.each(cases)('$id has the parameters and multiply-adds of the original', ({ id, config, unused }) => {
    const expected = golden.cases.find(({ name }) => name.startsWith(id))!;
    const network = networkOf(config);
    const unet = { ...network.unet, head: network.head };
    expect(parameterCount(unetGraph(unet)) + (unused?.parameters ?? 0)).toBe(expected.params);
    expect(publishedMultiplyAdds(unet) + filterCost(unet) + (unused?.multiplyAdds ?? 0)).toBe(expected.macs);
  });
});
