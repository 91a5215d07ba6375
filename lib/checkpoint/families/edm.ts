import { at } from '../../base/arrays.js';
import { ConfigReader, widthRange } from '../../files/config-reader.js';
import { BlockList, quarterGroups } from '../../network/block-list.js';
import type { UNetDescription } from '../../network/description.js';
import { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { fusedProjections, renamed, type Renames } from '../family-tensors.js';
import { flatLayout, type Family, type FamilyNetwork } from '../family.js';
import { isLastLayer, layerOf, resultLayers, type InitialRule } from '../initial-rule.js';
import type { TensorSource } from '../tensor-source.js';

/** Patterns from canonical names to those of EDM's networks. */
const renames: Renames = [
  [/^time_proj\.weight$/, 'map_noise.freqs'],
  [/^time_embedding\.linear_1\./, 'map_layer0.'],
  [/^time_embedding\.linear_2\./, 'map_layer1.'],
  [/^class_embedding\./, 'map_label.'],
  [/^conv_norm_out\./, 'out_norm.'],
  [/^conv_out\./, 'out_conv.'],
  [/\.conv1\./, '.conv0.'],
  [/\.conv2\./, '.conv1.'],
  [/\.time_emb_proj\./, '.affine.'],
  [/\.conv_shortcut\./, '.skip.'],
  [/\.to_out\.0\./, '.proj.'],
];

interface EdmConfig {
  isSong: boolean;
  size: number;
  inChannels: number;
  outChannels: number;
  width: number;
  multipliers: number[];
  embedding: number;
  noiseChannels: number;
  blocks: number;
  attention: number[];
  labels: number;
  fourier: boolean;
  fir: boolean;
  encoder: 'standard' | 'skip' | 'residual';
  decoder: 'standard' | 'skip';
}

const fields = [
  'family',
  'kind',
  'img_resolution',
  'in_channels',
  'out_channels',
  'label_dim',
  'augment_dim',
  'model_channels',
  'channel_mult',
  'channel_mult_emb',
  'channel_mult_noise',
  'num_blocks',
  'attn_resolutions',
  'dropout',
  'label_dropout',
  'embedding_type',
  'encoder_type',
  'decoder_type',
  'resample_filter',
  'sigma_data',
  'sigma_min',
  'sigma_max',
];

function parse(raw: Readonly<Record<string, unknown>>, source: string): EdmConfig {
  const config = new ConfigReader(raw, source);
  config.onlyFields(fields);
  const isSong = config.choice('kind', 'SongUNet', ['SongUNet', 'DhariwalUNet']) === 'SongUNet';
  const multipliers = config.integers('channel_mult', isSong ? [1, 2, 2, 2] : [1, 2, 3, 4], { least: 1, most: 1024 });
  const width = config.integer('model_channels', isSong ? 128 : 192, widthRange);
  const filter = (config.numbersOrNull('resample_filter') ?? [1, 1]).join();
  if (filter !== '1,1' && filter !== '1,3,3,1') throw config.unsupported('resample_filter', '[1, 1] and [1, 3, 3, 1]');
  const encoder = isSong ? config.choice('encoder_type', 'standard', ['standard', 'skip', 'residual']) : 'standard';
  const fir = filter === '1,3,3,1';
  if (encoder === 'residual' && !fir) throw config.unsupported('encoder_type', 'residual with the filter [1, 3, 3, 1]');
  return {
    isSong,
    size: config.levelSize('img_resolution', multipliers),
    inChannels: config.integer('in_channels', 3, widthRange),
    outChannels: config.integer('out_channels', 3, widthRange),
    width,
    multipliers,
    embedding: width * config.integer('channel_mult_emb', 4, { least: 1, most: 64 }),
    noiseChannels: isSong ? width * config.integer('channel_mult_noise', 1, { least: 1, most: 64 }) : width,
    blocks: config.integer('num_blocks', isSong ? 4 : 3, { least: 1, most: 64 }),
    attention: config.integers('attn_resolutions', isSong ? [16] : [32, 16, 8], { least: 1, most: 16_384 }),
    labels: config.integer('label_dim', 0, { least: 0, most: 1_000_000 }),
    fourier: isSong && config.choice('embedding_type', 'positional', ['positional', 'fourier']) === 'fourier',
    fir,
    encoder,
    decoder: isSong ? config.choice('decoder_type', 'standard', ['standard', 'skip']) : 'standard',
  };
}

class EdmBlocks {
  readonly list: BlockList;
  readonly #config: EdmConfig;

  constructor(config: EdmConfig, source: string) {
    this.#config = config;
    const { isSong, multipliers, width } = config;
    this.list = new BlockList(
      {
        source,
        groups: quarterGroups,
        epsilon: isSong ? 1e-6 : 1e-5,
        timeMode: isSong ? 'add' : 'scale-shift',
        scale: isSong ? Math.SQRT1_2 : 1,
      },
      isSong ? width : width * at(multipliers, 0),
    );
    let image = config.inChannels;
    for (let level = 0; level < multipliers.length; ++level) image = this.#encode(level, image);
    for (let level = multipliers.length - 1; level >= 0; --level) this.#decode(level);
  }

  #resolution(level: number): number {
    return this.#config.size / 2 ** level;
  }

  #attend(name: string): void {
    this.list.attention(name, this.#config.isSong ? 1 : Math.floor(this.list.channels / 64));
  }

  /** Adds one level of the encoder; returns the channels of the image beside it. */
  #encode(level: number, image: number): number {
    const { multipliers, width, blocks, attention, isSong, fir } = this.#config;
    const resolution = this.#resolution(level);
    const prefix = `enc.${resolution}x${resolution}`;
    let beside = image;
    if (level > 0) {
      this.list.residual(`${prefix}_down`, this.list.channels, fir ? 'fir-down' : 'mean', isSong);
      beside = this.#besideImage(prefix, image);
      this.list.push();
    }
    for (let block = 0; block < blocks; ++block) {
      const name = `${prefix}_block${block}`;
      this.list.residual(name, width * at(multipliers, level));
      if (attention.includes(resolution)) this.#attend(name);
      this.list.push();
    }
    return beside;
  }

  #besideImage(prefix: string, image: number): number {
    const { encoder, fir } = this.#config;
    if (encoder === 'standard') return image;
    if (encoder === 'skip') {
      this.list.imageResample(fir ? 'fir-down' : 'mean');
      this.list.imageCombine(`${prefix}_aux_skip`, image, 'sum');
      return image;
    }
    this.list.imageResidual(`${prefix}_aux_residual`, image, fir, Math.SQRT1_2);
    return this.list.channels;
  }

  #decode(level: number): void {
    const { multipliers, width, blocks, attention, isSong, fir, decoder, outChannels } = this.#config;
    const resolution = this.#resolution(level);
    const prefix = `dec.${resolution}x${resolution}`;
    if (level === multipliers.length - 1) {
      this.list.residual(`${prefix}_in0`, this.list.channels);
      this.#attend(`${prefix}_in0`);
      this.list.residual(`${prefix}_in1`, this.list.channels);
    } else {
      this.list.residual(`${prefix}_up`, this.list.channels, fir ? 'fir-up' : 'nearest', isSong);
    }
    for (let block = 0; block <= blocks; ++block) {
      const name = `${prefix}_block${block}`;
      this.list.pop();
      this.list.residual(name, width * at(multipliers, level));
      if (attention.includes(resolution) && (block === blocks || !isSong)) this.#attend(name);
    }
    if (!isSong || (decoder === 'standard' && level > 0)) return;
    if (decoder === 'skip' && level < multipliers.length - 1) this.list.resultResample(fir ? 'fir-up' : 'nearest');
    this.list.resultAdd(`${prefix}_aux_norm`, `${prefix}_aux_conv`, outChannels);
  }
}

function sourceOf(config: EdmConfig, blocks: UNetDescription['blocks']): FamilyNetwork['source'] {
  const fused = fusedProjections(blocks, 'interleaved', [1, 1]);
  const holders = new Set(
    blocks.flatMap((block) => (block.kind === 'residual' || block.kind === 'attention' ? [block.name] : [])),
  );
  const input = `enc.${config.size}x${config.size}_conv`;
  return (name, shape): TensorSource => {
    const projection = fused(name, shape);
    if (projection !== null) return projection;
    if (name.startsWith('conv_in.')) return { key: name.replace('conv_in', input) };
    if (name === 'class_embedding.weight') {
      const [classes = 0, channels = 0] = shape;
      const view = { offset: 0, dims: shape, strides: [1, classes] };
      return { key: 'map_label.weight', shape: [channels, classes], view };
    }
    const [, holder = '', norm] = /^(.+)\.(norm1|norm2|group_norm)\./.exec(name) ?? [];
    if (norm !== undefined && holders.has(holder)) {
      const own = { norm1: 'norm0', norm2: 'norm1', group_norm: 'norm2' }[norm as 'norm1' | 'norm2' | 'group_norm'];
      return { key: name.replace(`${holder}.${norm}`, `${holder}.${own}`) };
    }
    const key = renamed(renames, name);
    return name.endsWith('.to_out.0.weight') ? { key, shape: [...shape, 1, 1] } : { key };
  };
}

/** Song's networks are Glorot's, with factors; Dhariwal's have PyTorch's bounds, which the authors write in another way. */
function initialRule(isSong: boolean, blocks: UNetDescription['blocks']): InitialRule {
  if (!isSong) return { bound: 'fan-in', scale: (name) => (isLastLayer(name) ? 0 : 1) };
  const results = resultLayers(blocks);
  return {
    bound: 'glorot',
    uniformRows: true,
    scale(name) {
      if (isLastLayer(name) || results.has(layerOf(name))) return 1e-5;
      return /\.to_[qkv]\./.test(name) ? Math.sqrt(0.2) : 1;
    },
  };
}

function edmNetwork(raw: Readonly<Record<string, unknown>>, source: string): FamilyNetwork {
  const config = parse(raw, source);
  const { list } = new EdmBlocks(config, source);
  const { isSong, width, multipliers, size } = config;
  return {
    unet: {
      inChannels: config.inChannels,
      outChannels: config.outChannels,
      height: size,
      width: size,
      baseChannels: isSong ? width : width * at(multipliers, 0),
      centerInput: false,
      time: {
        channels: config.noiseChannels,
        embedding: config.embedding,
        shift: isSong ? 1 : 0,
        order: isSong ? 'sin-cos' : 'cos-sin',
        fourier: config.fourier ? 'linear' : null,
      },
      classes: config.labels,
      classEmbedding: isSong ? 'scaled-row' : 'row',
      blocks: list.blocks,
      output: isSong ? null : { groups: quarterGroups(width * at(multipliers, 0)), epsilon: 1e-5 },
      head: null,
    },
    head: null,
    heads: [],
    source: sourceOf(config, list.blocks),
    // Augmentation is a condition only in training.
    initial: initialRule(isSong, list.blocks),
    ignores: (key) => key.endsWith('.resample_filter') || key === 'map_augment.weight' || key === 'map_noise.freqs',
  };
}

/** The networks of EDM (Karras et al. 2022), without their preconditioning: it is `prediction: 'edm'`. */
export const edm: Family = {
  name: 'edm',
  recognise: (names) =>
    names.has('map_layer0.weight') && [...names].some((name) => name.startsWith('enc.')) ? 'map_layer0.weight' : null,
  network: edmNetwork,
  schedule: (config, options) =>
    NoiseSchedule.edm({
      sigmaData: config.number('sigma_data', 0.5),
      sigmaMin: config.number('sigma_min', 0.002),
      sigmaMax: config.number('sigma_max', 80),
      ...options,
    }),
  labelForNone: 'no label',
  layout: flatLayout,
};
