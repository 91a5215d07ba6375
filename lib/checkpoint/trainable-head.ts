import { join } from 'node:path';

import { DpmError } from '../base/errors.js';
import type { Graph } from '../network/graph.js';
import { unetGraph } from '../network/unet.js';
import { mergeCheckpoints, type Checkpoint } from './checkpoint.js';
import type { FamilyNetwork } from './family.js';
import { readHeadsConfig, type HeadName, type HeadsConfig } from './heads.js';
import type { ModelFolder } from './model-folder.js';
import { openSingleFile } from './weight-files.js';

/** What a head computes its output from: the network's last map, or one that a residual block of its own has made of it. */
export type HeadMode = 'simple' | 'complex';

/** Every {@link HeadMode}. */
export const headModes: readonly HeadMode[] = ['simple', 'complex'];

/** What the names of a head's weights begin with, beside those of its network. */
export const headPrefix = 'head';

/** A head that learns on a network that stays as it is. */
export interface TrainableHead {
  readonly name: HeadName;
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

/** The head's form: that of the heads which the model has, as they share one configuration. */
function formOf(
  { path }: ModelFolder,
  { unet }: FamilyNetwork,
  known: HeadsConfig | null,
  mode: HeadMode | undefined,
): Pick<HeadsConfig, 'complex' | 'groups' | 'epsilon'> {
  if (known !== null) {
    if (mode === undefined || (mode === 'complex') === known.complex) return known;
    const own = known.complex ? 'complex' : 'simple';
    throw new DpmError('ERR_DPM_ARGUMENT', `headMode is ${mode}, the heads of ${path} are ${own}`);
  }
  if (unet.output === null)
    throw new DpmError('ERR_DPM_UNSUPPORTED', `${path}: a network without an output norm has no head`);
  return { complex: mode === 'complex', ...unet.output };
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
  const known = model.heads.length === 0 ? null : await readHeadsConfig(join(model.path, 'heads'));
  const { complex, groups, epsilon } = formOf(model, network, known, mode);
  const outChannels = network.unet.inChannels;
  const head = { prefix: headPrefix, complex, outChannels, groups, epsilon };
  const file = known?.files.get(name);
  const config = {
    heads: { ...Object.fromEntries(known?.files ?? []), [name]: file ?? `${name}.safetensors` },
    mode: complex ? 'complex' : 'simple',
    out_channels: outChannels,
    norm_num_groups: groups,
    norm_eps: epsilon,
  };
  const own = new Set([
    join('heads', 'config.json'),
    join('heads', file ?? ''),
    join('scheduler', 'scheduler_config.json'),
  ]);
  const { weights } = model;
  return {
    network: { ...network, head },
    graph: unetGraph({ ...network.unet, head }),
    weights:
      file === undefined
        ? weights
        : mergeCheckpoints(weights, await openSingleFile(join(model.path, 'heads', file)), headPrefix),
    head: {
      name,
      config,
      companions: new Map([...model.companions].filter(([path]) => !own.has(path))),
      isBegun: file !== undefined,
    },
  };
}

/** Tells whether a weight, by its name in checkpoints or in graphs, is a head's. */
export function isOfHead(name: string): boolean {
  return name.startsWith(`${headPrefix}.`);
}
