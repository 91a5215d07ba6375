// Configurations of the networks of pipelines: limits that no public model comes near, and what goes with what.
import { describe, expect, it } from 'vitest';

import { parseAutoencoderConfig } from '../../../lib/checkpoint/pipelines/autoencoder-config.js';
import { parseConditionalConfig } from '../../../lib/checkpoint/pipelines/conditional-config.js';
import { parseControlConfig } from '../../../lib/checkpoint/pipelines/control-config.js';

describe('the configuration of a conditional U-Net', () => {
  it('counts the blocks of both ways, which are one more on the way up', () => {
    const levels = (layers: number): Record<string, unknown> => ({
      block_out_channels: new Array<number>(8).fill(32),
      down_block_types: new Array<string>(8).fill('DownBlock2D'),
      up_block_types: new Array<string>(8).fill('UpBlock2D'),
      layers_per_block: layers,
    });
    expect(parseConditionalConfig(levels(63), 'config').description.levels).toHaveLength(8);
    expect(() => parseConditionalConfig(levels(64), 'config')).toThrow(/layers_per_block .*at most 1024 blocks/);
  });

  it('has sinusoids of numbers in pairs, from which a shift leaves some', () => {
    const numbers = (features: number, shift: number): Record<string, unknown> => ({
      addition_embed_type: 'text_time',
      projection_class_embeddings_input_dim: 80,
      addition_time_embed_dim: features,
      freq_shift: shift,
    });
    expect(parseConditionalConfig(numbers(8, 3), 'config').textTime).toEqual({ features: 8 });
    expect(() => parseConditionalConfig(numbers(8, 4), 'config')).toThrow(/freq_shift .*number of frequencies, 4/);
    expect(() => parseConditionalConfig(numbers(9, 0), 'config')).toThrow(/addition_time_embed_dim .*an even number/);
  });
});

describe('the configuration of a ControlNet', () => {
  it.each([
    ['up_block_types', ['UpBlock2D']],
    ['out_channels', 4],
    ['center_input_sample', true],
    ['conv_in_kernel', 3],
    ['conv_out_kernel', 3],
    ['time_cond_proj_dim', 8],
    ['time_embedding_dim', 128],
    ['reverse_transformer_layers_per_block', [1, 1, 1, 1]],
  ])('has no %s', (name, value) => {
    const parse = (): unknown => parseControlConfig({ [name]: value }, 'config');
    expect(parse).toThrow(`config: ${name} `);
    expect(parse).toThrow('ControlNets have no such field');
  });
});

describe('the configuration of a small autoencoder', () => {
  it.each([
    [3, 4],
    [4, 3],
  ])('of %i stages on the way in and %i on the way out is refused', (encoder, decoder) => {
    const half = (name: string, stages: number): Record<string, unknown> => ({
      [`${name}_block_out_channels`]: new Array<number>(stages).fill(64),
      [`num_${name}_blocks`]: new Array<number>(stages).fill(1),
    });
    const config = {
      _class_name: 'AutoencoderTiny',
      act_fn: 'relu',
      ...half('encoder', encoder),
      ...half('decoder', decoder),
    };
    expect(() => parseAutoencoderConfig(config, 'config')).toThrow(/num_decoder_blocks .*as many stages/);
  });
});
