import { basename, join } from 'node:path';

import { DpmError } from '../base/errors.js';
import { ConfigReader, isJsonObject, widthRange } from '../files/config-reader.js';
import { readJson } from '../files/files.js';
import { lastChannels, type HeadDescription, type UNetDescription } from '../network/description.js';
import { mergeCheckpoints, type Checkpoint } from './checkpoint.js';
import { openSingleFile } from './weight-files.js';

/**
 * A second output that predicts the variance: E[(eps - eps_hat)^2] (`npr`) or E[eps^2] (`sn`), Bao et al. 2022; or B_t times
 * the diagonal of the Hessian of ln q(x_t) (`ocm`), Ou et al. 2024.
 */
export type HeadName = 'npr' | 'sn' | 'ocm';

export const headNames: readonly HeadName[] = ['npr', 'sn', 'ocm'];

/** What the names of a head's weights begin with, beside those of its network. */
export const headPrefix = 'head';

/** The variance heads of a model folder (`heads/config.json`). */
export interface HeadsConfig {
  folder: string;
  files: ReadonlyMap<HeadName, string>;
  complex: boolean;
  outChannels: number;
  groups: number;
  epsilon: number;
  /** What the network predicts, whose squared error an `npr` head expects: the noise, or the velocity (`v_prediction`). */
  prediction: 'epsilon' | 'v';
}

function readFiles(config: ConfigReader): Map<HeadName, string> {
  const heads = config.raw('heads');
  if (!isJsonObject(heads)) throw config.error('heads', 'an object of head name to file');
  const files = new Map<HeadName, string>();
  for (const [key, file] of Object.entries(heads)) {
    const name = headNames.find((each) => each === key);
    if (name === undefined) throw config.unsupported('heads', headNames.join(', '));
    if (typeof file !== 'string' || file !== basename(file) || !file.endsWith('.safetensors')) {
      throw config.error('heads', 'the plain name of a .safetensors file for each head');
    }
    files.set(name, file);
  }
  return files;
}

/** Reads `out_channels`; `head.out_channels`, as one name or as a field of `head`, is the same. */
function readOutChannels(config: ConfigReader): number {
  const alias = 'head.out_channels';
  const nested = config.raw('head') ?? {};
  if (!isJsonObject(nested)) throw config.error('head', 'an object with out_channels');
  const head = new ConfigReader(nested, `${config.source}: head`);
  const places: [ConfigReader, string][] = [
    [config, 'out_channels'],
    [config, alias],
    [head, 'out_channels'],
  ];
  const given = places.filter(([reader, name]) => reader.has(name));
  const [width, ...others] = given.map(([reader, name]) => reader.integer(name, undefined, widthRange));
  if (width === undefined) return config.integer('out_channels', undefined, widthRange);
  if (others.some((other) => other !== width)) {
    const said = [width, ...others].join(' and ');
    throw new DpmError('ERR_DPM_CONFIG', `${config.source}: out_channels and ${alias} have to agree, they are ${said}`);
  }
  return width;
}

/**
 * Reads `heads/config.json` of a model folder.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` or `ERR_DPM_UNSUPPORTED` naming the field.
 */
export async function readHeadsConfig(folder: string): Promise<HeadsConfig> {
  const path = join(folder, 'config.json');
  const raw = await readJson(path);
  if (!isJsonObject(raw)) throw new DpmError('ERR_DPM_CONFIG', `${path} is not a JSON object`);
  const config = new ConfigReader(raw, path);
  return {
    folder,
    files: readFiles(config),
    complex: config.choice('mode', 'simple', ['simple', 'complex']) === 'complex',
    outChannels: readOutChannels(config),
    groups: config.integer('norm_num_groups', undefined, widthRange),
    epsilon: config.number('norm_eps'),
    prediction:
      config.choice('prediction_type', 'epsilon', ['epsilon', 'v_prediction']) === 'epsilon' ? 'epsilon' : 'v',
  };
}

/** What heads have to fit: the channels of a network's image, and those of the map that they see. */
export interface HeadPlace {
  readonly inChannels: number;
  readonly lastChannels: number;
}

/**
 * Describes the heads of a network, which are of one form.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` if they do not fit the network.
 */
export function headOf({ inChannels, lastChannels: channels }: HeadPlace, heads: HeadsConfig): HeadDescription {
  const { complex, outChannels, groups, epsilon } = heads;
  if (outChannels !== inChannels) {
    throw new DpmError(
      'ERR_DPM_CONFIG',
      `${join(heads.folder, 'config.json')}: out_channels is ${outChannels}, a variance has the ${inChannels} channels of the image`,
    );
  }
  if (channels % groups !== 0) {
    throw new DpmError(
      'ERR_DPM_CONFIG',
      `${join(heads.folder, 'config.json')}: norm_num_groups ${groups} does not divide ${channels} channels`,
    );
  }
  return { prefix: headPrefix, complex, outChannels, groups, epsilon };
}

/**
 * Describes the heads of a U-Net that sees no text, which predicts the noise where it has any.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` if they do not fit the network, `ERR_DPM_UNSUPPORTED` for those of another prediction.
 */
export function headOfNoise(unet: UNetDescription, heads: HeadsConfig): HeadDescription {
  if (heads.prediction !== 'epsilon') {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${join(heads.folder, 'config.json')}: prediction_type of the heads of a network without texts has to be epsilon`,
    );
  }
  return headOf({ inChannels: unet.inChannels, lastChannels: lastChannels(unet) }, heads);
}

/**
 * Adds one of the heads to a network and its weights.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if there is no such head, `ERR_DPM_CONFIG` if it does not fit the network.
 */
export async function addHead(
  unet: UNetDescription,
  checkpoint: Checkpoint,
  heads: HeadsConfig,
  name: HeadName,
): Promise<{ unet: UNetDescription; checkpoint: Checkpoint }> {
  const file = heads.files.get(name);
  if (file === undefined) {
    const known = [...heads.files.keys()].join(', ') || 'none';
    throw new DpmError('ERR_DPM_ARGUMENT', `${heads.folder} has no head '${name}'; it has: ${known}`);
  }
  return {
    unet: { ...unet, head: headOfNoise(unet, heads) },
    checkpoint: mergeCheckpoints(checkpoint, await openSingleFile(join(heads.folder, file)), headPrefix),
  };
}
