import { at } from '../../base/arrays.js';
import { ConfigReader, widthRange } from '../../files/config-reader.js';
import { BlockList } from '../../network/block-list.js';
import { familyHead, readEmbeddedHead, type EmbeddedHead } from '../family-config.js';
import { linearSchedule } from '../family-schedule.js';
import { renamed, type Renames } from '../family-tensors.js';
import { flatLayout, type Family, type FamilyNetwork } from '../family.js';
import { pytorchInitial } from '../initial-rule.js';

/** Patterns from canonical names to those of the PyTorch port of Ho's network. */
const renames: Renames = [
  [/^time_embedding\.linear_1\./, 'temb.dense.0.'],
  [/^time_embedding\.linear_2\./, 'temb.dense.1.'],
  [/^conv_norm_out\./, 'norm_out.'],
  [/^head\.resnet\./, 'before_out.'],
  [/^head\.norm_out\./, 'norm_out2.'],
  [/^head\.conv_out\./, 'conv_out2.'],
  [/time_emb_proj\./, 'temb_proj.'],
  [/conv_shortcut\./, 'nin_shortcut.'],
  [/group_norm\./, 'norm.'],
  [/\.to_([qkv])\./, '.$1.'],
  [/\.to_out\.0\./, '.proj_out.'],
];

interface HoConfig {
  width: number;
  outChannels: number;
  inChannels: number;
  multipliers: number[];
  blocks: number;
  attention: number[];
  resolution: number;
  head: EmbeddedHead | null;
}

const fields = [
  'family',
  'ch',
  'out_ch',
  'ch_mult',
  'num_res_blocks',
  'attn_resolutions',
  'in_channels',
  'resolution',
  'dropout',
  'resamp_with_conv',
  'head',
];

function parse(raw: Readonly<Record<string, unknown>>, source: string): HoConfig {
  const config = new ConfigReader(raw, source);
  config.onlyFields(fields);
  if (!config.boolean('resamp_with_conv', true)) throw config.unsupported('resamp_with_conv', 'true');
  const multipliers = config.integers('ch_mult', undefined, { least: 1, most: 1024 });
  const inChannels = config.integer('in_channels', 3, widthRange);
  return {
    width: config.integer('ch', undefined, widthRange),
    outChannels: config.integer('out_ch', 3, widthRange),
    inChannels,
    multipliers,
    blocks: config.integer('num_res_blocks', undefined, { least: 1, most: 64 }),
    attention: config.integers('attn_resolutions', undefined, { least: 1, most: 16_384 }),
    resolution: config.levelSize('resolution', multipliers),
    head: readEmbeddedHead(config, inChannels),
  };
}

function blocksOf(config: HoConfig, source: string): BlockList {
  const { width, multipliers, blocks, attention, resolution } = config;
  const list = new BlockList({ source, groups: () => 32, epsilon: 1e-6, timeMode: 'add', scale: 1 }, width);
  const levels = multipliers.length;
  const attends = (level: number): boolean => attention.includes(resolution / 2 ** level);
  for (let level = 0; level < levels; ++level) {
    for (let block = 0; block < blocks; ++block) {
      list.residual(`down.${level}.block.${block}`, width * at(multipliers, level));
      if (attends(level)) list.attention(`down.${level}.attn.${block}`, 1);
      list.push();
    }
    if (level === levels - 1) continue;
    list.downsample(`down.${level}.downsample.conv`, 'asymmetric');
    list.push();
  }
  list.residual('mid.block_1', list.channels);
  list.attention('mid.attn_1', 1);
  list.residual('mid.block_2', list.channels);
  for (let level = levels - 1; level >= 0; --level) {
    for (let block = 0; block <= blocks; ++block) {
      list.pop();
      list.residual(`up.${level}.block.${block}`, width * at(multipliers, level));
      if (attends(level)) list.attention(`up.${level}.attn.${block}`, 1);
    }
    if (level > 0) list.upsample(`up.${level}.upsample.conv`);
  }
  return list;
}

function hoNetwork(raw: Readonly<Record<string, unknown>>, source: string): FamilyNetwork {
  const config = parse(raw, source);
  const list = blocksOf(config, source);
  const { width, head } = config;
  return {
    unet: {
      inChannels: config.inChannels,
      outChannels: config.outChannels,
      height: config.resolution,
      width: config.resolution,
      baseChannels: width,
      centerInput: false,
      time: { channels: width, embedding: 4 * width, shift: 1, order: 'sin-cos' },
      classes: 0,
      blocks: list.blocks,
      output: { groups: 32, epsilon: 1e-6 },
      head: null,
    },
    ...familyHead(head, 32, 1e-6),
    source(name, shape) {
      const key = renamed(renames, name);
      // Attention is made of 1x1 convolutions.
      return /\.to_(?:[qkv]|out\.0)\.weight$/.test(name) ? { key, shape: [...shape, 1, 1] } : { key };
    },
    ignores: () => false,
    initial: pytorchInitial,
  };
}

/** Family of Ho et al. 2020, as ported to PyTorch (pesser/pytorch_diffusion, DDIM, Extended-Analytic-DPM). */
export const ho: Family = {
  name: 'ho',
  recognise: (names) => (names.has('temb.dense.0.weight') ? 'temb.dense.0.weight' : null),
  embedsHead: true,
  network: hoNetwork,
  schedule: (_, options) => linearSchedule(options),
  labelForNone: 'last class',
  layout: flatLayout,
};
