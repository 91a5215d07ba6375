import { join } from 'node:path';

import { DpmError } from '../base/errors.js';
import { ConfigReader } from '../files/config-reader.js';
import { isThere } from '../files/files.js';
import type { Graph } from '../network/graph.js';
import { unetGraph } from '../network/unet.js';
import type { Checkpoint } from './checkpoint.js';
import { readEmbeddedHead } from './family-config.js';
import { headKeys, networkOf, type Family, type FamilyNetwork } from './family.js';
import { addHead, headOfNoise, headPrefix, readHeadsConfig, type HeadName, type HeadsConfig } from './heads.js';
import type { ModelFolder } from './model-folder.js';

/** What a head computes its output from: the network's last map, or one that a residual block of its own has made of it. */
export type HeadMode = 'simple' | 'complex';

/** Every {@link HeadMode}. */
export const headModes: readonly HeadMode[] = ['simple', 'complex'];

/** A head that learns on a network that stays as it is. */
export interface TrainableHead {
  readonly name: HeadName;
  readonly mode: HeadMode;
  /** What the network predicts, whose error, or square, the head expects. */
  readonly prediction: HeadsConfig['prediction'];
  /** Its file in the model's `heads/`, and the contents of `heads/config.json` with it; null: it lies in the network's file. */
  readonly apart: { readonly file: string; readonly config: Readonly<Record<string, unknown>> } | null;
  /** Names of its weights beside those of the network. */
  readonly keys: ReadonlySet<string>;
  /** Files that the model has beside its network and this head: their paths in a model folder, and where they lie. */
  readonly companions: ReadonlyMap<string, string>;
  /** True if the model has this head already, which then goes on from its weights. */
  readonly isBegun: boolean;
}

/** A network with a head that learns. */
interface WithHead {
  /** The network's configuration. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly network: FamilyNetwork;
  readonly graph: Graph;
  readonly weights: Checkpoint;
  readonly head: TrainableHead;
}

/** Gives the mode of heads by their file. */
export const modeOf = ({ complex }: Pick<HeadsConfig, 'complex'>): HeadMode => (complex ? 'complex' : 'simple');

/** Form of a head beside a network that has none. */
export type NewHeads = Pick<HeadsConfig, 'outChannels' | 'groups' | 'epsilon' | 'prediction'>;

/**
 * Finds the heads of a model, whose form a new one shares; those of a model without any have the wanted mode.
 *
 * @param path - The model, in messages.
 * @param own - Form of heads of a model without any; null: its network has no place for one.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for another mode than that of the model's heads; those of their file.
 */
export async function headsToTrain(
  path: string,
  folder: string,
  own: NewHeads | null,
  mode: HeadMode | undefined,
): Promise<HeadsConfig> {
  if (await isThere(join(folder, 'config.json'))) {
    const known = await readHeadsConfig(folder);
    if (mode === undefined || mode === modeOf(known)) return known;
    throw new DpmError('ERR_DPM_ARGUMENT', `headMode is ${mode}, the heads of ${path} are ${modeOf(known)}`);
  }
  if (own === null) throw new DpmError('ERR_DPM_UNSUPPORTED', `${path}: a network without an output norm has no head`);
  return { folder, files: new Map(), complex: mode === 'complex', ...own };
}

/** Gives the name of a head's file, and the configuration of a model's heads with it. */
export function apartOf(heads: HeadsConfig, name: HeadName): NonNullable<TrainableHead['apart']> {
  const file = heads.files.get(name) ?? `${name}.safetensors`;
  const config = {
    heads: { ...Object.fromEntries(heads.files), [name]: file },
    mode: modeOf(heads),
    out_channels: heads.outChannels,
    norm_num_groups: heads.groups,
    norm_eps: heads.epsilon,
    ...(heads.prediction === 'v' && { prediction_type: 'v_prediction' }),
  };
  return { file, config };
}

/**
 * Adds a head to a network whose family keeps it in the network's file, of which it has one.
 *
 * @param config - The network's configuration, with its family.
 */
function withEmbeddedHead(
  model: ModelFolder,
  family: Family,
  config: Readonly<Record<string, unknown>>,
  network: FamilyNetwork,
  { name, mode: wanted }: { name: HeadName; mode: HeadMode | undefined },
): WithHead {
  const { path, weights, companions } = model;
  const own = readEmbeddedHead(new ConfigReader(config, path), network.unet.inChannels);
  if (own !== null && own.kind !== null && own.kind !== name) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `head is ${name}, ${path} has the head ${own.kind} and no place for another`,
    );
  }
  const mode = own === null ? (wanted ?? 'simple') : modeOf(own);
  if (wanted !== undefined && wanted !== mode) {
    throw new DpmError('ERR_DPM_ARGUMENT', `headMode is ${wanted}, the head of ${path} is ${mode}`);
  }
  const changed = { ...config, head: { kind: name, mode, out_ch: network.unet.inChannels } };
  const withHead = networkOf(family, changed, path, undefined);
  const keys = headKeys(withHead);
  return {
    config: changed,
    network: withHead,
    graph: unetGraph({ ...withHead.unet, head: withHead.head }),
    weights,
    head: {
      name,
      mode,
      prediction: 'epsilon',
      apart: null,
      keys,
      companions,
      isBegun: [...keys].every((key) => weights.tensors.has(key)),
    },
  };
}

/**
 * Adds a head to a model's network, to be trained: the model's own where it has one, else one that begins with nothing.
 *
 * @param config - The network's configuration, with its family unless that is diffusers.
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for a model of a family without heads, `ERR_DPM_ARGUMENT` for a mode that
 * other heads of the model have not, and for a second head where there is place for one.
 */
export async function withTrainableHead(
  model: ModelFolder,
  family: Family,
  config: Readonly<Record<string, unknown>>,
  network: FamilyNetwork,
  wanted: { name: HeadName; mode: HeadMode | undefined },
): Promise<WithHead> {
  if (family.embedsHead === true) return withEmbeddedHead(model, family, config, network, wanted);
  if (model.layout.scheduler === null) {
    throw new DpmError('ERR_DPM_UNSUPPORTED', `${model.path}: heads of the family ${model.family} cannot be trained`);
  }
  const { name, mode } = wanted;
  const { inChannels, output } = network.unet;
  const form = output && ({ outChannels: inChannels, ...output, prediction: 'epsilon' } as const);
  const heads = await headsToTrain(model.path, join(model.path, 'heads'), form, mode);
  const head = headOfNoise(network.unet, heads);
  const isBegun = heads.files.has(name);
  const apart = apartOf(heads, name);
  const own = new Set([
    join('heads', 'config.json'),
    join('heads', apart.file),
    join('scheduler', 'scheduler_config.json'),
  ]);
  const { weights } = model;
  const graph = unetGraph({ ...network.unet, head });
  const names = graph.constants.map((constant) => constant.name).filter(isOfHead);
  return {
    config,
    network: { ...network, head },
    graph,
    weights: isBegun ? (await addHead(network.unet, weights, heads, name)).checkpoint : weights,
    head: {
      name,
      mode: modeOf(heads),
      prediction: heads.prediction,
      apart,
      keys: new Set(names),
      companions: new Map([...model.companions].filter(([path]) => !own.has(path))),
      isBegun,
    },
  };
}

/** Tells whether a weight, by its name in graphs and in folders of diffusers, is a head's. */
export function isOfHead(name: string): boolean {
  return name.startsWith(`${headPrefix}.`);
}
