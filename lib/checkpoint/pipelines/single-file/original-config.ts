import { DpmError } from '../../../base/errors.js';
import { isList } from '../../../base/option-kinds.js';
import { ConfigReader, isJsonObject, widthRange } from '../../../files/config-reader.js';
import { readYaml } from '../../../files/yaml.js';
import type { Preset } from './presets.js';
import type { Shapes } from './shapes.js';

/** What the original's configuration says beyond the shapes of tensors. */
export interface OriginalConfig {
  readonly source: string;
  readonly heads: Preset['heads'];
  readonly numberFeatures: number | null;
  readonly scale: number | null;
  /** Fields of a scheduler's configuration, what the network predicts among them. */
  readonly scheduler: Readonly<Record<string, unknown>>;
  readonly prediction: 'epsilon' | 'v_prediction';
  readonly unet: ConfigReader;
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsAt(root: Fields, source: string, path: readonly string[]): Fields {
  return path.reduce<Fields>((fields, name, depth) => {
    const next = fields[name];
    if (isJsonObject(next)) return next;
    throw new DpmError('ERR_DPM_CONFIG', `${source}: ${path.slice(0, depth + 1).join('.')} is missing or no object`);
  }, root);
}

function headsOf(unet: ConfigReader): Preset['heads'] {
  const width = unet.integer('num_head_channels', -1, { least: -1, most: widthRange.most });
  if (width > 0) return { width };
  return { count: unet.integer('num_heads', undefined, widthRange) };
}

/** Finds how many sinusoids the conditioner makes of each number. */
function numberFeaturesOf(params: Fields): number | null {
  const { conditioner_config: conditioner } = params;
  const models = isJsonObject(conditioner) && isJsonObject(conditioner.params) ? conditioner.params.emb_models : null;
  if (!isList(models)) return null;
  for (const model of models) {
    if (!isJsonObject(model) || !isJsonObject(model.params)) continue;
    const { outdim } = model.params;
    if (typeof outdim === 'number') return outdim;
  }
  return null;
}

/** Reads what the network predicts: by a word, or in SDXL's form by the class that scales its output. */
function predictionOf(config: ConfigReader, params: Fields): OriginalConfig['prediction'] {
  const { denoiser_config: denoiser } = params;
  const scaling = isJsonObject(denoiser) && isJsonObject(denoiser.params) ? denoiser.params.scaling_config : undefined;
  if (isJsonObject(scaling)) {
    const target = new ConfigReader(scaling, config.source).string('target').split('.').at(-1) ?? '';
    if (target === 'VScaling') return 'v_prediction';
    if (target === 'EpsScaling') return 'epsilon';
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${config.source}: scaling_config ${target.slice(0, 80)} is not supported; supported: EpsScaling, VScaling`,
    );
  }
  return config.choice('parameterization', 'eps', ['eps', 'v']) === 'v' ? 'v_prediction' : 'epsilon';
}

function schedulerOf(config: ConfigReader): Record<string, unknown> {
  return {
    num_train_timesteps: config.integer('timesteps', 1000, { least: 1, most: 2 ** 20 }),
    ...(config.has('linear_start') && { beta_start: config.number('linear_start') }),
    ...(config.has('linear_end') && { beta_end: config.number('linear_end') }),
  };
}

/** Switches that no public model has on, and which change the network. */
const off = ['use_scale_shift_norm', 'resblock_updown', 'use_new_attention_order'];

/**
 * Reads the configuration that the original's authors publish beside a file.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE`, `ERR_DPM_CONFIG` or `ERR_DPM_UNSUPPORTED` naming the file and field.
 */
export async function readOriginalConfig(path: string): Promise<OriginalConfig> {
  const root = await readYaml(path);
  if (!isJsonObject(root)) throw new DpmError('ERR_DPM_CONFIG', `${path} is not an object`);
  const params = fieldsAt(root, path, ['model', 'params']);
  const key = 'network_config' in params ? 'network_config' : 'unet_config';
  const unet = new ConfigReader(fieldsAt(params, path, [key, 'params']), path);
  for (const name of off) if (unet.boolean(name, false)) throw unet.unsupported(name, 'false');
  const config = new ConfigReader(params, path);
  return {
    source: path,
    heads: headsOf(unet),
    numberFeatures: numberFeaturesOf(params),
    scale: config.has('scale_factor') ? config.positive('scale_factor', 1) : null,
    scheduler: schedulerOf(config),
    prediction: predictionOf(config, params),
    unet,
  };
}

/**
 * Refuses a configuration of another network than the file's.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` naming the field.
 */
export function requireSameNetwork({ unet }: OriginalConfig, shapes: Shapes, contextWidth: number | undefined): void {
  const told: Readonly<Record<string, number | undefined>> = {
    in_channels: shapes.size('input_blocks.0.0.weight', 1),
    out_channels: shapes.size('out.2.weight', 0),
    model_channels: shapes.size('input_blocks.0.0.weight', 0),
    context_dim: contextWidth,
    adm_in_channels: shapes.find('label_emb.0.0.weight')?.[1],
  };
  for (const [name, size] of Object.entries(told)) {
    if (unet.has(name) && unet.raw(name) !== null && unet.raw(name) !== size) {
      throw unet.error(name, `that of the file, ${size ?? 'none'}`);
    }
  }
}
