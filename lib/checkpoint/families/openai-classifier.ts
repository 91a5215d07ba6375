import { ConfigReader, widthRange } from '../../files/config-reader.js';
import { linearSchedule } from '../family-schedule.js';
import { fusedProjections, type Renames } from '../family-tensors.js';
import type { InitialRule } from '../initial-rule.js';
import { flatLayout, type Family, type FamilyNetwork } from '../family.js';
import type { TensorSource } from '../tensor-source.js';
import {
  encoderFields,
  OpenAiBlocks,
  openAiInitial,
  openAiRenames,
  readEncoder,
  type OpenAiEncoder,
} from './openai-blocks.js';

const attentionNames: Renames = [
  [/^pool\.position$/, 'out.2.positional_embedding'],
  [/^pool\.to_out\./, 'out.2.c_proj.'],
];
const meanNames: Renames = [[/^pool\.to_out\./, 'out.3.']];

/** Pools of the original that no published classifier has. */
const unpublished = ['spatial', 'spatial_v2'];

/** Behind the mean of the pixels the last layer is zero, too; behind attention it is not. */
const meanInitial: InitialRule = {
  ...openAiInitial,
  scale: (name) => (name.startsWith('pool.to_out.') ? 0 : openAiInitial.scale(name)),
};

interface ClassifierConfig extends OpenAiEncoder {
  outChannels: number;
  pool: 'attention' | 'adaptive';
}

function parse(raw: Readonly<Record<string, unknown>>, source: string): ClassifierConfig {
  const config = new ConfigReader(raw, source);
  config.onlyFields([...encoderFields, 'out_channels', 'pool']);
  const pool = config.choice('pool', 'adaptive', ['attention', 'adaptive', ...unpublished]);
  if (pool !== 'attention' && pool !== 'adaptive') {
    throw config.unsupported('pool', 'attention or adaptive: there are no public weights with another');
  }
  const outChannels = config.integer('out_channels', undefined, widthRange);
  const encoder = readEncoder(config);
  if (pool === 'attention' && encoder.headChannels < 1) {
    throw config.error('num_head_channels', 'the width of a head, for pool attention');
  }
  return { ...encoder, outChannels, pool };
}

function classifierNetwork(raw: Readonly<Record<string, unknown>>, source: string): FamilyNetwork {
  const config = parse(raw, source);
  const trunk = new OpenAiBlocks(config, source);
  const { list } = trunk;
  const attends = config.pool === 'attention';
  // The middle block's attention has as many.
  const heads = attends ? list.channels / config.headChannels : 1;
  const ofTrunk = trunk.sources([...(attends ? attentionNames : meanNames), ...openAiRenames]);
  const kernel = attends ? [1] : [1, 1];
  // The pool has the newer order, whatever the order of the blocks.
  const asBlock = {
    kind: 'attention',
    name: 'pool',
    channels: list.channels,
    heads,
    groups: 0,
    epsilon: 0,
    scale: 1,
  } as const;
  const ofPool = fusedProjections([asBlock], 'by-part', [1]);
  return {
    unet: {
      ...trunk.description(),
      outChannels: config.outChannels,
      classes: 0,
      // The way up, which would read the kept maps, is missing.
      blocks: list.blocks.filter((block) => block.kind !== 'push'),
      pool: attends ? { method: 'attention', heads } : { method: 'mean' },
      head: null,
    },
    head: null,
    heads: [],
    source: (name, shape): TensorSource => {
      const projection = ofPool(name, shape);
      if (projection !== null) return { ...projection, key: projection.key.replace('pool.qkv', 'out.2.qkv_proj') };
      const own = ofTrunk(name, shape);
      return name === 'pool.to_out.weight' ? { ...own, shape: [...shape, ...kernel] } : own;
    },
    ignores: () => false,
    initial: attends ? openAiInitial : meanInitial,
  };
}

/** The mark of a pool: a U-Net's last layer is `out.2`, without positions. */
function recognise(names: ReadonlySet<string>): string | null {
  if (!names.has('input_blocks.0.0.weight')) return null;
  return ['out.2.positional_embedding', 'out.3.weight'].find((name) => names.has(name)) ?? null;
}

/** The noise-conditional classifiers of guided-diffusion (Dhariwal & Nichol 2021), `EncoderUNetModel`. */
export const openaiClassifier: Family = {
  name: 'openai-classifier',
  recognise,
  network: classifierNetwork,
  schedule: (_, options) => linearSchedule(options),
  labelForNone: 'no label',
  layout: flatLayout,
};
