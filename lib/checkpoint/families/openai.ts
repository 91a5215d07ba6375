import { ConfigReader, widthRange } from '../../files/config-reader.js';
import { NoiseSchedule } from '../../schedule/noise-schedule.js';
import type { ScheduleOptions } from '../../schedule/schedule-options.js';
import { familyHead, readEmbeddedHead, type EmbeddedHead } from '../family-config.js';
import { staticClip, stepRange } from '../family-schedule.js';
import type { Renames } from '../family-tensors.js';
import { flatLayout, type Family, type FamilyNetwork } from '../family.js';
import type { TensorSource } from '../tensor-source.js';
import {
  encoderFields,
  headRange,
  OpenAiBlocks,
  openAiInitial,
  openAiRenames,
  readEncoder,
  type OpenAiEncoder,
} from './openai-blocks.js';

/** The head's, which sits before or after a residual block of its own. */
const simpleHead: Renames = [
  [/^head\.norm_out\./, 'out2.0.'],
  [/^head\.conv_out\./, 'out2.2.'],
];
const complexHead: Renames = [
  [/^head\.resnet\./, 'out2.0.'],
  [/^head\.norm_out\./, 'out2.1.'],
  [/^head\.conv_out\./, 'out2.3.'],
];

interface OpenAiConfig extends OpenAiEncoder {
  outChannels: number;
  classes: number;
  headsUp: number;
  head: EmbeddedHead | null;
}

const fields = [
  ...encoderFields,
  'variant',
  'out_channels',
  'num_classes',
  'head',
  // Fields of the diffusion: the noise schedule is read from these.
  'learn_sigma',
  'noise_schedule',
  'diffusion_steps',
  'rescale_timesteps',
  'first_timestep',
  'sigma_small',
];

function parse(raw: Readonly<Record<string, unknown>>, source: string): OpenAiConfig {
  const config = new ConfigReader(raw, source);
  config.onlyFields(fields);
  config.choice('variant', 'guided-diffusion', ['improved-diffusion', 'guided-diffusion']);
  const encoder = readEncoder(config);
  const headsUp = config.integer('num_heads_upsample', -1, headRange);
  return {
    ...encoder,
    outChannels: config.integer('out_channels', 3, widthRange),
    classes: config.integerOrNull('num_classes', null, { least: 1, most: 1_000_000 }) ?? 0,
    headsUp: headsUp === -1 ? encoder.heads : headsUp,
    head: readEmbeddedHead(config, encoder.inChannels),
  };
}

function openAiNetwork(raw: Readonly<Record<string, unknown>>, source: string): FamilyNetwork {
  const config = parse(raw, source);
  const trunk = new OpenAiBlocks(config, source);
  trunk.decode(config.headsUp);
  const { head } = config;
  const names = [...(head?.complex === true ? complexHead : simpleHead), ...openAiRenames];
  /** Outputs of the network beyond the image are not used with a head. */
  const outChannels = head === null ? config.outChannels : Math.min(config.outChannels, config.inChannels);
  const ofBlocks = trunk.sources(names);
  const sourceOf = (name: string, shape: readonly number[]): TensorSource => {
    const own = ofBlocks(name, shape);
    if (!name.startsWith('conv_out.') || outChannels === config.outChannels) return own;
    const fileShape = [config.outChannels, ...shape.slice(1)];
    return { ...own, shape: fileShape, view: { offset: 0, dims: shape, strides: rowMajor(shape) } };
  };
  return {
    unet: { ...trunk.description(), outChannels, classes: config.classes, blocks: trunk.list.blocks, head: null },
    ...familyHead(head, 32, 1e-5),
    source: sourceOf,
    ignores: () => false,
    initial: openAiInitial,
  };
}

function rowMajor(shape: readonly number[]): number[] {
  let stride = 1;
  const strides = [...shape].reverse().map((size) => {
    const own = stride;
    stride *= size;
    return own;
  });
  return strides.reverse();
}

function openAiSchedule(config: ConfigReader, options: ScheduleOptions): NoiseSchedule {
  const improved = config.string('variant', 'guided-diffusion') === 'improved-diffusion';
  const steps = config.integer('diffusion_steps', 1000, stepRange);
  // Variances of the network itself are not used with a head.
  const isLearned =
    (config.raw('head') ?? null) === null && config.number('out_channels', 3) === 2 * config.number('in_channels', 3);
  const first = config.integer('first_timestep', 0, { least: 0, most: 1 });
  const rescales = config.boolean('rescale_timesteps', improved);
  if (first === 1 && rescales && steps !== 1000) throw config.unsupported('first_timestep', '0 with rescale_timesteps');
  const common: ScheduleOptions = {
    networkTime: first === 1 ? 'index1' : rescales ? 'rescaled' : 'index',
    ...options,
    defaults: {
      clip: staticClip(options),
      variance: isLearned ? 'learned' : config.boolean('sigma_small', false) ? 'beta-tilde' : 'beta',
      ...options.defaults,
    },
  };
  return config.choice('noise_schedule', 'linear', ['linear', 'cosine']) === 'linear'
    ? NoiseSchedule.linear({ steps, ...common })
    : NoiseSchedule.cosine({ steps, ...common });
}

/** Family of OpenAI's improved-diffusion (Nichol & Dhariwal 2021) and guided-diffusion (Dhariwal & Nichol 2021). */
export const openai: Family = {
  name: 'openai',
  recognise: (names) =>
    names.has('input_blocks.0.0.weight') && names.has('time_embed.0.weight') ? 'input_blocks.0.0.weight' : null,
  embedsHead: true,
  network: openAiNetwork,
  schedule: openAiSchedule,
  labelForNone: 'last class',
  layout: flatLayout,
};
