import { ConfigReader, isJsonObject, widthRange } from '../../files/config-reader.js';
import { readEmbeddedHead, type EmbeddedHead } from '../family-config.js';

/** The fields of score_sde's configurations that its networks are made from. */
export interface ScoreSdeConfig {
  isNcsnpp: boolean;
  width: number;
  multipliers: number[];
  blocks: number;
  attention: number[];
  size: number;
  channels: number;
  centered: boolean;
  bigGan: boolean;
  fir: boolean;
  scale: number;
  input: 'none' | 'input_skip' | 'residual';
  combine: 'sum' | 'cat';
  output: 'none' | 'output_skip';
  fourier: boolean;
  scaleBySigma: boolean;
  sigmas: { least: number; most: number; count: number };
  head: EmbeddedHead | null;
}

function section(config: ConfigReader, name: string): ConfigReader {
  const raw = config.raw(name);
  if (!isJsonObject(raw)) throw config.error(name, 'an object');
  return new ConfigReader(raw, `${config.source}: ${name}`);
}

const modelFields = [
  'name',
  'nf',
  'ch_mult',
  'num_res_blocks',
  'attn_resolutions',
  'resblock_type',
  'resamp_with_conv',
  'fir',
  'fir_kernel',
  'conv_size',
  'skip_rescale',
  'progressive',
  'progressive_input',
  'progressive_combine',
  'embedding_type',
  'scale_by_sigma',
  'normalization',
  'nonlinearity',
  'attention_type',
  'conditional',
  'sigma_min',
  'sigma_max',
  'num_scales',
  'beta_min',
  'beta_max',
  // Fields of training and initialisation.
  'dropout',
  'ema_rate',
  'fourier_scale',
  'init_scale',
];

const dataFields = [
  'image_size',
  'num_channels',
  'centered',
  // Fields of training.
  'dataset',
  'category',
  'random_flip',
  'tfrecords_path',
  'uniform_dequantization',
];

function checkFixed(model: ConfigReader): void {
  if (model.integer('conv_size', 3, { least: 1, most: 99 }) !== 3) throw model.unsupported('conv_size', '3');
  model.choice('normalization', 'GroupNorm', ['GroupNorm']);
  model.choice('nonlinearity', 'swish', ['swish', 'silu']);
  model.choice('attention_type', 'ddpm', ['ddpm']);
  if (!model.boolean('resamp_with_conv', true)) throw model.unsupported('resamp_with_conv', 'true');
  if (!model.boolean('conditional', true)) throw model.unsupported('conditional', 'true');
  if (model.has('fir_kernel') && model.numbersOrNull('fir_kernel')?.join() !== '1,3,3,1') {
    throw model.unsupported('fir_kernel', '[1, 3, 3, 1]');
  }
}

/**
 * Reads a configuration of score_sde.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` or `ERR_DPM_UNSUPPORTED` naming the field.
 */
export function parseScoreSdeConfig(raw: Readonly<Record<string, unknown>>, source: string): ScoreSdeConfig {
  const config = new ConfigReader(raw, source);
  const model = section(config, 'model');
  const data = section(config, 'data');
  model.onlyFields(modelFields);
  data.onlyFields(dataFields);
  checkFixed(model);
  const isNcsnpp = model.choice('name', 'ddpm', ['ddpm', 'ncsnpp']) === 'ncsnpp';
  const multipliers = model.integers('ch_mult', undefined, { least: 1, most: 1024 });
  const bigGan = isNcsnpp && model.choice('resblock_type', 'biggan', ['biggan', 'ddpm']) === 'biggan';
  const fir = isNcsnpp && model.boolean('fir', false);
  if (fir && !bigGan) throw model.unsupported('fir', 'false with resblock_type ddpm');
  const channels = data.integer('num_channels', 3, widthRange);
  return {
    isNcsnpp,
    width: model.integer('nf', undefined, widthRange),
    multipliers,
    blocks: model.integer('num_res_blocks', undefined, { least: 1, most: 64 }),
    attention: model.integers('attn_resolutions', undefined, { least: 1, most: 16_384 }),
    size: data.levelSize('image_size', multipliers),
    channels,
    centered: data.boolean('centered', false),
    bigGan,
    fir,
    scale: isNcsnpp && model.boolean('skip_rescale', false) ? Math.SQRT1_2 : 1,
    input: isNcsnpp ? model.choice('progressive_input', 'none', ['none', 'input_skip', 'residual']) : 'none',
    combine: model.choice('progressive_combine', 'sum', ['sum', 'cat']),
    output: isNcsnpp ? model.choice('progressive', 'none', ['none', 'output_skip']) : 'none',
    fourier: isNcsnpp && model.choice('embedding_type', 'positional', ['positional', 'fourier']) === 'fourier',
    scaleBySigma: model.boolean('scale_by_sigma', false),
    sigmas: {
      least: model.number('sigma_min', 0.01),
      most: model.number('sigma_max', 50),
      count: model.integer('num_scales', 1000, { least: 1, most: 1_000_000 }),
    },
    head: readEmbeddedHead(config, channels),
  };
}
