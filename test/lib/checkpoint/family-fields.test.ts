// The fields of the families' configurations: what is meant where one is absent, and what none may be.
import { describe, expect, it } from 'vitest';

import { familyByName } from '../../../lib/checkpoint/families/index.js';
import type { UNetDescription } from '../../../lib/network/description.js';

type Config = Record<string, unknown>;

const openai: Config = {
  image_size: 16,
  in_channels: 3,
  model_channels: 32,
  out_channels: 3,
  num_res_blocks: 1,
  attention_resolutions: [2],
  channel_mult: [1, 2],
  num_heads: 2,
};
const model: Config = {
  name: 'ncsnpp',
  nf: 32,
  ch_mult: [1, 2],
  num_res_blocks: 1,
  attn_resolutions: [8],
};
const data: Config = { image_size: 16, num_channels: 3 };

const network = (family: string, config: Config): UNetDescription =>
  familyByName(family).network(config, 'config.json').unet;
const ofOpenai = (fields: Config): UNetDescription => network('openai', { ...openai, ...fields });
const ofModel = (fields: Config, ofData: Config = {}): UNetDescription =>
  network('score_sde', { model: { ...model, ...fields }, data: { ...data, ...ofData } });

describe('fields that are absent', () => {
  it.each<[string, unknown, unknown]>([
    ['conv_resample', true, false],
    ['use_scale_shift_norm', false, true],
    ['num_classes', null, 10],
    ['resblock_updown', false, true],
    ['num_heads_upsample', -1, 1],
    ['num_head_channels', -1, 8],
  ])('openai: %s is %j', (field, meant, other) => {
    expect(ofOpenai({ [field]: meant })).toEqual(ofOpenai({}));
    expect(ofOpenai({ [field]: other })).not.toEqual(ofOpenai({}));
  });

  it('openai: num_heads is 1, the multipliers are 1, 2, 4, 8', () => {
    const { num_heads: _heads, channel_mult: _multipliers, ...bare } = openai;
    expect(network('openai', bare)).toEqual(ofOpenai({ num_heads: 1, channel_mult: [1, 2, 4, 8] }));
    expect(ofOpenai({ num_heads: 1 })).not.toEqual(ofOpenai({}));
  });

  it.each<[string, unknown, unknown]>([
    ['resblock_type', 'biggan', 'ddpm'],
    ['fir', false, true],
    ['skip_rescale', false, true],
    ['progressive_input', 'none', 'residual'],
    ['progressive', 'none', 'output_skip'],
    ['embedding_type', 'positional', 'fourier'],
  ])('score_sde: %s is %j', (field, meant, other) => {
    expect(ofModel({ [field]: meant })).toEqual(ofModel({}));
    expect(ofModel({ [field]: other })).not.toEqual(ofModel({}));
  });

  it('score_sde: the images are not centred, the network is that of DDPM', () => {
    expect(ofModel({}, { centered: false })).toEqual(ofModel({}));
    expect(ofModel({}, { centered: true })).not.toEqual(ofModel({}));
    const { name: _name, ...unnamed } = model;
    expect(network('score_sde', { model: unnamed, data })).toEqual(ofModel({ name: 'ddpm' }));
  });
});

describe('fields with impossible values are refused by name', () => {
  it.each<[string, unknown]>([
    ['out_channels', 0],
    ['num_res_blocks', 0],
    ['num_res_blocks', 65],
    ['attention_resolutions', [0]],
    ['channel_mult', [0, 1]],
    ['channel_mult', [1025, 1]],
    ['num_classes', 0],
    ['num_heads', -2],
    ['num_head_channels', -2],
    ['num_heads_upsample', 65_537],
  ])('openai: %s %j', (field, value) => {
    expect(() => ofOpenai({ [field]: value })).toThrow(new RegExp(`config\\.json.*${field}`));
  });

  it.each<[string, unknown]>([
    ['nf', 0],
    ['ch_mult', [0, 1]],
    ['ch_mult', [1, 1025]],
    ['num_res_blocks', 0],
    ['num_res_blocks', 65],
    ['attn_resolutions', [0]],
    ['attn_resolutions', [16_385]],
    ['num_scales', 0],
    ['resblock_type', 'wide'],
    ['progressive', 'residual'],
    ['progressive_input', 'sum'],
    ['embedding_type', 'learned'],
  ])('score_sde: %s %j', (field, value) => {
    expect(() => ofModel({ [field]: value })).toThrow(new RegExp(`config\\.json.*${field}`));
  });
});
