// The small network that a run has for images that nobody has said one for.
import { describe, expect, it } from 'vitest';

import { trainableOf } from '../../../lib/checkpoint/trainable.js';
import { defaultClassifier, defaultNetwork } from '../../../lib/training/default-network.js';

describe('the default network', () => {
  it.each<[readonly [number, number, number], readonly string[], readonly number[]]>([
    [
      [1, 28, 28],
      ['', 'Attn', 'Attn'],
      [16, 32, 64],
    ],
    [
      [3, 32, 32],
      ['', 'Attn', 'Attn', 'Attn'],
      [32, 64, 128, 256],
    ],
    [
      [3, 64, 64],
      ['', '', 'Attn', 'Attn'],
      [32, 64, 128, 256],
    ],
    [
      [3, 256, 256],
      ['', '', '', ''],
      [32, 64, 128, 256],
    ],
    [
      [4, 16, 16],
      ['', 'Attn', 'Attn', 'Attn'],
      [32, 64, 128, 256],
    ],
    [
      [1, 48, 8],
      ['', '', 'Attn', 'Attn'],
      [16, 32, 64, 128],
    ],
    [[1, 12, 9], [''], [16]],
  ])('for %j has attention where its maps are small', async (shape, attention, channels) => {
    const [count, height, width] = shape;
    const config = defaultNetwork(shape, 0);
    expect(config).toEqual({
      _class_name: 'UNet2DModel',
      sample_size: height === width ? height : [height, width],
      in_channels: count,
      out_channels: count,
      freq_shift: 1,
      flip_sin_to_cos: false,
      down_block_types: attention.map((kind) => `${kind}DownBlock2D`),
      up_block_types: attention.toReversed().map((kind) => `${kind}UpBlock2D`),
      block_out_channels: channels,
      layers_per_block: 1,
      attention_head_dim: null,
      norm_num_groups: 8,
      num_class_embeds: null,
    });
    const { network } = await trainableOf(config, 'the default network', undefined);
    expect([network.unet.inChannels, network.unet.height, network.unet.width]).toEqual(shape);
  });

  it('has one class more than the data, which stands for none', () => {
    expect(defaultNetwork([1, 28, 28], 10)).toMatchObject({ num_class_embeds: 11 });
    expect(defaultNetwork([1, 28, 28], 1)).toMatchObject({ num_class_embeds: 2 });
  });
});

describe('the default classifier', () => {
  it.each<[readonly [number, number, number], number, readonly number[]]>([
    [[1, 28, 28], 2, [1, 2]],
    [[3, 16, 16], 1, [1]],
    [[3, 32, 32], 2, [1, 2]],
    [[3, 64, 64], 4, [1, 2, 4]],
    [[3, 256, 256], 16, [1, 2, 4, 4, 4]],
    // An odd side is halved no further.
    [[3, 20, 20], 2, [1, 2]],
    [[1, 25, 25], 1, [1]],
  ])('for %j attends to maps halved to a factor of %d', async (shape, factor, multipliers) => {
    const config = defaultClassifier(shape, 7);
    expect(config.attention_resolutions).toEqual([factor]);
    expect(config.channel_mult).toEqual(multipliers);
    const { network } = await trainableOf(config, 'the default classifier');
    const { inChannels, outChannels, height, width, pool } = network.unet;
    expect([inChannels, height, width]).toEqual(shape);
    expect([outChannels, pool?.method]).toEqual([7, 'attention']);
  });
});
