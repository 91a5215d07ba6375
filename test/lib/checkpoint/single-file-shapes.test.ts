// Configurations of public models, read off the shapes of their files' tensors.
import { describe, expect, it } from 'vitest';

import type { Checkpoint } from '../../../lib/checkpoint/checkpoint.js';
import { autoencoderWeights } from '../../../lib/checkpoint/pipelines/autoencoder.js';
import { parseAutoencoderConfig } from '../../../lib/checkpoint/pipelines/autoencoder-config.js';
import { conditionalWeights } from '../../../lib/checkpoint/pipelines/conditional.js';
import { parseConditionalConfig } from '../../../lib/checkpoint/pipelines/conditional-config.js';
import { originalAutoencoderName } from '../../../lib/checkpoint/pipelines/single-file/autoencoder-names.js';
import { autoencoderConfigOf } from '../../../lib/checkpoint/pipelines/single-file/autoencoder-shapes.js';
import { pipelinePresets } from '../../../lib/checkpoint/pipelines/single-file/presets.js';
import { recognise } from '../../../lib/checkpoint/pipelines/single-file/recognise.js';
import { Shapes } from '../../../lib/checkpoint/pipelines/single-file/shapes.js';
import { parseTextEncoderConfig } from '../../../lib/checkpoint/pipelines/text-encoder.js';
import { originalUNetName } from '../../../lib/checkpoint/pipelines/single-file/unet-names.js';
import { textEncoderConfigOf } from '../../../lib/checkpoint/pipelines/single-file/text-encoder-shapes.js';
import { unetConfigOf } from '../../../lib/checkpoint/pipelines/single-file/unet-shapes.js';

/** A checkpoint of tensors that have names and shapes and nothing else. */
function checkpointOf(shapes: Iterable<readonly [string, readonly number[]]>): Checkpoint {
  const tensors: Checkpoint['tensors'] = new Map();
  for (const [name, shape] of shapes) {
    tensors.set(name, { dtype: 'F16', shape: [...shape], offset: 0, bytes: 0, file: 0 });
  }
  return { files: ['model.safetensors'], tensors };
}

const sd = {
  block_out_channels: [320, 640, 1280, 1280],
  down_block_types: ['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D'],
  sample_size: 64,
};
const sdxl = {
  block_out_channels: [320, 640, 1280],
  down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
  up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
  transformer_layers_per_block: [1, 2, 10],
  attention_head_dim: [5, 10, 20],
  cross_attention_dim: 2048,
  use_linear_projection: true,
  addition_embed_type: 'text_time',
  addition_time_embed_dim: 256,
  projection_class_embeddings_input_dim: 2816,
  sample_size: 128,
};
const refiner = {
  ...sdxl,
  block_out_channels: [384, 768, 1536, 1536],
  down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D'],
  up_block_types: ['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
  transformer_layers_per_block: 4,
  attention_head_dim: [6, 12, 24, 24],
  cross_attention_dim: 1280,
  projection_class_embeddings_input_dim: 2560,
};

const unets = [
  { name: 'sd1', config: { ...sd, attention_head_dim: 8, cross_attention_dim: 768 } },
  { name: 'sd1-inpaint', config: { ...sd, in_channels: 9, attention_head_dim: 8, cross_attention_dim: 768 } },
  {
    name: 'sd2-v',
    config: {
      ...sd,
      attention_head_dim: [5, 10, 20, 20],
      cross_attention_dim: 1024,
      use_linear_projection: true,
      sample_size: 96,
    },
  },
  { name: 'sdxl', config: sdxl },
  { name: 'sdxl-refiner', config: refiner },
] as const;

describe('the U-Net of a file alone', () => {
  it.each(unets)('of $name is recognised, with its configuration', ({ name, config }) => {
    const expected = parseConditionalConfig(config, name);
    const weights = conditionalWeights(expected.description);
    const file = checkpointOf(
      [...weights].map(([own, shape]) => [originalUNetName(expected.description, own), shape] as const),
    );
    expect(file.tensors.size).toBe(weights.size);
    const preset = pipelinePresets[name];
    const found = recognise('model.safetensors', file, null);
    expect(found).toMatchObject({ architecture: preset.architecture, inpaints: preset.inpaints, unet: '' });
    const own = parseConditionalConfig(unetConfigOf(new Shapes(file, ''), preset), 'shapes');
    // Depths and heads of levels that do not attend say nothing.
    const told = ({ levels, ...others }: typeof own.description): object => ({
      ...others,
      levels: levels.map((level) => (level.depthDown + level.depthUp > 0 ? level : { ...level, heads: 0 })),
    });
    expect(told(own.description)).toEqual(told(expected.description));
    expect(own.sampleSize).toBe(expected.sampleSize);
    expect(own.textTime).toEqual(expected.textTime);
  });

  it('of transformers that differ within a level is refused', () => {
    const { description } = parseConditionalConfig(sdxl, 'sdxl');
    const names = [...conditionalWeights(description)].map(
      ([name, shape]) => [originalUNetName(description, name), shape] as const,
    );
    const pruned = names.filter(([name]) => !name.startsWith('input_blocks.8.1.transformer_blocks.9.'));
    expect(() => unetConfigOf(new Shapes(checkpointOf(pruned), ''), pipelinePresets.sdxl)).toThrow(
      /10 and 9 blocks within one level \(input_blocks\.8\.1\)/,
    );
  });

  it.each([
    ['ERR_DPM_TENSOR_MISSING', 'is not there', []],
    ['ERR_DPM_TENSOR_SHAPE', 'has too few axes', [['unet.conv.weight', [4]]]],
  ] satisfies [string, string, [string, number[]][]][])('is %s where a tensor %s', (code, _, tensors) => {
    const shapes = new Shapes(checkpointOf(tensors), 'unet.');
    const message = expect.stringMatching(/^model\.safetensors: .*tensor 'unet\.conv\.weight'/) as string;
    expect(() => shapes.size('conv.weight', 1)).toThrow(expect.objectContaining({ code, message }));
  });

  it('of widths that have no whole heads is refused where its middle alone attends', () => {
    const file = checkpointOf([
      ['input_blocks.0.0.weight', [100, 4, 3, 3]],
      ['input_blocks.1.0.out_layers.3.weight', [100, 100, 3, 3]],
      ['middle_block.1.transformer_blocks.0.attn2.to_k.weight', [100, 768]],
      ['out.2.weight', [4, 100, 3, 3]],
      ['time_embed.0.weight', [400, 100]],
    ]);
    expect(() => unetConfigOf(new Shapes(file, ''), pipelinePresets.sdxl)).toThrow(
      /level 0 of the U-Net has 100 channels, which heads of 64 do not divide/,
    );
  });

  it.each([
    ['sd1', 64],
    ['sd-turbo', 64],
    ['sdxl', 128],
    ['sdxl-turbo', 64],
  ] as const)('of %s has latents of %i a side', (name, side) => {
    expect(pipelinePresets[name].sampleSize).toBe(side);
  });
});

describe('a file of SD 2', () => {
  it('is none of SD 1, whatever its text encoder is called', () => {
    const file = checkpointOf([
      ['model.diffusion_model.input_blocks.0.0.weight', [320, 4, 3, 3]],
      ['model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight', [320, 1024]],
      ['cond_stage_model.transformer.text_model.final_layer_norm.bias', [1024]],
    ]);
    expect(recognise('model.safetensors', file, null)).toMatchObject({ architecture: 'sd2', inpaints: false });
  });
});

describe('a text encoder of a file', () => {
  const clip = [
    ['embeddings.token_embedding.weight', [49_408, 768]],
    ['embeddings.position_embedding.weight', [77, 768]],
    ['encoder.layers.0.mlp.fc1.weight', [3072, 768]],
    ...Array.from({ length: 12 }, (_, i) => [`encoder.layers.${i}.layer_norm1.bias`, [768]] as const),
  ] as const;
  const open = [
    ['token_embedding.weight', [49_408, 1024]],
    ['positional_embedding', [77, 1024]],
    ['transformer.resblocks.0.mlp.c_fc.weight', [4096, 1024]],
    ...Array.from({ length: 24 }, (_, i) => [`transformer.resblocks.${i}.ln_1.bias`, [1024]] as const),
  ] as const;

  it('has the configuration of its shapes', () => {
    const first = parseTextEncoderConfig(
      textEncoderConfigOf(new Shapes(checkpointOf(clip), ''), 'transformers', Infinity),
      'L',
    );
    expect(first).toMatchObject({
      description: { width: 768, heads: 12, layers: 12, inner: 3072, activation: 'quick_gelu', vocabulary: 49_408 },
      endToken: null,
    });
    const second = parseTextEncoderConfig(
      textEncoderConfigOf(new Shapes(checkpointOf(open), ''), 'open_clip', 23),
      'H',
    );
    expect(second.description).toMatchObject({ width: 1024, heads: 16, layers: 23, inner: 4096, activation: 'gelu' });
  });
});

describe('names of a U-Net', () => {
  const of = (config: object) => {
    const { description } = parseConditionalConfig({ ...config }, 'public');
    return (name: string): string => originalUNetName(description, name);
  };

  it.each([
    ['down_blocks.0.downsamplers.0.conv.weight', 'input_blocks.3.0.op.weight'],
    ['down_blocks.1.resnets.0.conv_shortcut.bias', 'input_blocks.4.0.skip_connection.bias'],
    ['down_blocks.2.attentions.1.proj_in.weight', 'input_blocks.8.1.proj_in.weight'],
    ['down_blocks.3.resnets.1.time_emb_proj.weight', 'input_blocks.11.0.emb_layers.1.weight'],
    ['mid_block.resnets.1.norm1.weight', 'middle_block.2.in_layers.0.weight'],
    ['mid_block.attentions.0.norm.weight', 'middle_block.1.norm.weight'],
    ['up_blocks.0.upsamplers.0.conv.weight', 'output_blocks.2.1.conv.weight'],
    ['up_blocks.1.upsamplers.0.conv.weight', 'output_blocks.5.2.conv.weight'],
    ['up_blocks.3.resnets.2.conv2.weight', 'output_blocks.11.0.out_layers.3.weight'],
  ])('of Stable Diffusion 1: %s is %s', (name, original) => {
    expect(of(unets[0].config)(name)).toBe(original);
  });

  it('of SDXL count its three levels', () => {
    expect(of(sdxl)('add_embedding.linear_1.weight')).toBe('label_emb.0.0.weight');
    expect(of(sdxl)('down_blocks.2.attentions.1.transformer_blocks.9.ff.net.2.bias')).toBe(
      'input_blocks.8.1.transformer_blocks.9.ff.net.2.bias',
    );
    expect(of(sdxl)('up_blocks.0.upsamplers.0.conv.bias')).toBe('output_blocks.2.2.conv.bias');
    expect(of(sdxl)('up_blocks.2.resnets.0.norm2.bias')).toBe('output_blocks.6.0.out_layers.0.bias');
  });

  it('that are more than any model has are refused before a graph is made', () => {
    const many = Array.from({ length: 600 }, (_, i) => [`input_blocks.1.1.transformer_blocks.${i}.a`, [1]] as const);
    const shapes = new Shapes(checkpointOf(many), '');
    expect(() => shapes.count('input_blocks.1.1.transformer_blocks.')).toThrow(/600 modules .*at most 512/);
    expect(new Shapes(checkpointOf(many.slice(0, 512)), '').count('input_blocks.1.1.transformer_blocks.')).toBe(512);
  });
});

describe('the autoencoder of a file', () => {
  it.each([
    { use_quant_conv: true, mid_block_add_attention: true },
    { use_quant_conv: false, mid_block_add_attention: false },
  ])('has the configuration of its shapes with $use_quant_conv', (switches) => {
    const config = {
      ...switches,
      use_post_quant_conv: switches.use_quant_conv,
      block_out_channels: [128, 256, 512, 512],
      down_block_types: new Array<string>(4).fill('DownEncoderBlock2D'),
      up_block_types: new Array<string>(4).fill('UpDecoderBlock2D'),
      layers_per_block: 2,
      scaling_factor: 0.13025,
    };
    const expected = parseAutoencoderConfig(config, 'public');
    const weights = [...autoencoderWeights(expected.description)];
    const file = checkpointOf(
      weights.map(([name, shape]) => [`vae.${originalAutoencoderName(4, name)}`, shape] as const),
    );
    expect(parseAutoencoderConfig(autoencoderConfigOf(new Shapes(file, 'vae.'), 0.13025), 'shapes')).toEqual(expected);
  });
});
