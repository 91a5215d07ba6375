import { join } from 'node:path';

import { DpmError } from '../base/errors.js';
import type { Graph } from '../network/graph.js';
import { unetGraph } from '../network/unet.js';
import type { Checkpoint } from './checkpoint.js';
import type { FamilyNetwork } from './family.js';
import { addHead, headOf, headPrefix, readHeadsConfig, type HeadName, type HeadsConfig } from './heads.js';
import type { ModelFolder } from './model-folder.js';

/** What a head computes its output from: the network's last map, or one that a residual block of its own has made of it. */
export type HeadMode = 'simple' | 'complex';

/** Every {@link HeadMode}. */
export const headModes: readonly HeadMode[] = ['simple', 'complex'];

/** A head that learns on a network that stays as it is. */
export interface TrainableHead {
  readonly name: HeadName;
  /** Name of its file in the model's `heads/`. */
  readonly file: string;
  /** Contents of the model's `heads/config.json` with this head. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Files that the model has beside its network and this head: their paths in a model folder, and where they lie. */
  readonly companions: ReadonlyMap<string, string>;
  /** True if the model has this head already, which then goes on from its weights. */
  readonly isBegun: boolean;
}

/** A network with a head that learns. */
interface WithHead {
  readonly network: FamilyNetwork;
  readonly graph: Graph;
  readonly weights: Checkpoint;
  readonly head: TrainableHead;
}

const modeOf = ({ complex }: HeadsConfig): HeadMode => (complex ? 'complex' : 'simple');

/** The heads of a model, whose form a new one shares; those of a model without any have the wanted mode. */
async function headsOf(
  { path, heads }: ModelFolder,
  { unet }: FamilyNetwork,
  mode: HeadMode | undefined,
): Promise<HeadsConfig> {
  const folder = join(path, 'heads');
  if (heads.length > 0) {
    const known = await readHeadsConfig(folder);
    if (mode === undefined || mode === modeOf(known)) return known;
    throw new DpmError('ERR_DPM_ARGUMENT', `headMode is ${mode}, the heads of ${path} are ${modeOf(known)}`);
  }
  if (unet.output === null)
    throw new DpmError('ERR_DPM_UNSUPPORTED', `${path}: a network without an output norm has no head`);
  return { folder, files: new Map(), complex: mode === 'complex', outChannels: unet.inChannels, ...unet.output };
}

/**
 * Adds a head to a model's network, to be trained: the model's own where it has one, else one that begins with nothing.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for a model of a family whose heads lie in the network's file,
 * `ERR_DPM_ARGUMENT` for a mode that other heads of the model have not.
 */
export async function withTrainableHead(
  model: ModelFolder,
  network: FamilyNetwork,
  name: HeadName,
  mode: HeadMode | undefined,
): Promise<WithHead> {
  if (model.layout.scheduler === null) {
    throw new DpmError('ERR_DPM_UNSUPPORTED', `${model.path}: heads of the family ${model.family} cannot be trained`);
  }
  const heads = await headsOf(model, network, mode);
  const head = headOf(network.unet, heads);
  const isBegun = heads.files.has(name);
  const file = heads.files.get(name) ?? `${name}.safetensors`;
  const config = {
    heads: { ...Object.fromEntries(heads.files), [name]: file },
    mode: modeOf(heads),
    out_channels: heads.outChannels,
    norm_num_groups: heads.groups,
    norm_eps: heads.epsilon,
  };
  const own = new Set([join('heads', 'config.json'), join('heads', file), join('scheduler', 'scheduler_config.json')]);
  const { weights } = model;
  return {
    network: { ...network, head },
    graph: unetGraph({ ...network.unet, head }),
    weights: isBegun ? (await addHead(network.unet, weights, heads, name)).checkpoint : weights,
    head: {
      name,
      file,
      config,
      companions: new Map([...model.companions].filter(([path]) => !own.has(path))),
      isBegun,
    },
  };
}

/** Tells whether a weight, by its name in checkpoints or in graphs, is a head's. */
export function isOfHead(name: string): boolean {
  return name.startsWith(`${headPrefix}.`);
}
