import type { ConfigReader } from '../files/config-reader.js';
import { requiredTensors } from '../network/cost.js';
import type { UNetDescription } from '../network/description.js';
import type { Graph } from '../network/graph.js';
import { unetGraph } from '../network/unet.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import type { ScheduleOptions } from '../schedule/schedule-options.js';
import type { Checkpoint } from './checkpoint.js';
import type { HeadName } from './heads.js';
import { resized, type ImageSize } from './image-size.js';
import type { InitialRule } from './initial-rule.js';
import { bindSources, type TensorSource } from './tensor-source.js';
import type { WeightReport } from './weight-report.js';

/** A network of a checkpoint family, as the engine knows it. */
export interface FamilyNetwork {
  unet: UNetDescription;
  /** The variance head the checkpoint may hold beside it. */
  head: NonNullable<UNetDescription['head']> | null;
  /** Names of heads that this one can be used as: one, or any if its configuration does not tell. */
  heads: readonly HeadName[];
  /** Finds the source of a canonical weight. */
  source(name: string, shape: readonly number[]): TensorSource;
  /** Tells whether a tensor is known and not needed: buffers, and tensors only for training. */
  ignores(key: string): boolean;
  /** What training from nothing begins with. */
  readonly initial: InitialRule;
}

/** Label that stands for no class in classifier-free guidance. */
export type LabelForNone = 'last class' | 'no label';

/** Places of the parts in a model's folder. */
export interface FolderLayout {
  /** The folder of the network's configuration and weights; empty: the model's own. */
  readonly network: string;
  /** Name of the weights without their ending. */
  readonly weights: string;
  /** True if the configuration has the field `family`. */
  readonly namesFamily: boolean;
  /** Configuration of the scheduler for a model that came without one; null if the network's configuration is complete. */
  readonly scheduler: Readonly<Record<string, unknown>> | null;
}

/** A configuration that names its family, and weights beside it. */
export const flatLayout: FolderLayout = { network: '', weights: 'model', namesFamily: true, scheduler: null };

/** Family of checkpoints: how it is recognised, and the meaning of its configuration. */
export interface Family {
  /** The value of `family` in a configuration. */
  readonly name: string;
  /** Finds a tensor name that only this family has; null if there is none. */
  recognise(names: ReadonlySet<string>): string | null;
  /**
   * @param source - Name of the source in errors, e.g. the configuration's path.
   * @param imageSize - Size that a configuration need not have, as its network will be `resized` to it.
   * @throws {@link DpmError} `ERR_DPM_CONFIG` or `ERR_DPM_UNSUPPORTED` naming the field.
   */
  network(config: Readonly<Record<string, unknown>>, source: string, imageSize?: ImageSize): FamilyNetwork;
  /**
   * The noise schedule its networks are trained with, as far as the configuration does not say otherwise.
   *
   * @throws {@link DpmError} `ERR_DPM_CONFIG` or `ERR_DPM_UNSUPPORTED` naming the field.
   */
  schedule(config: ConfigReader, options: ScheduleOptions): NoiseSchedule;
  /** Label that stands for no class in guidance: the last class, or no label at all. */
  readonly labelForNone: LabelForNone;
  /** True if its configuration has the field `head`, whose weights lie in the network's file. */
  readonly embedsHead?: boolean;
  /** Layout of a converted model of it. */
  readonly layout: FolderLayout;
  /** Gives the present name of a tensor, if the family renamed some. */
  readonly canonicalName?: (name: string) => string;
  /** Assumption about what its files do not tell, as a clause after how the family was recognised. */
  readonly assumption?: string;
}

/**
 * Makes the network of a configuration, for images of another size if one is given.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG`, `ERR_DPM_UNSUPPORTED` or `ERR_DPM_ARGUMENT` naming the field or option.
 */
export function networkOf(
  family: Family,
  config: Readonly<Record<string, unknown>>,
  source: string,
  imageSize: ImageSize | undefined,
): FamilyNetwork {
  const network = family.network(config, source, imageSize);
  return { ...network, unet: resized(network.unet, imageSize) };
}

/**
 * The canonical weights of a network from a checkpoint of its family, and how they fit. Names in the report are the checkpoint's.
 *
 * @param graph - Graph of the family's network, or of that with its head.
 */
export function bindTensors(
  network: Pick<FamilyNetwork, 'source' | 'ignores'>,
  graph: Graph,
  checkpoint: Checkpoint,
): { checkpoint: Checkpoint; report: WeightReport } {
  return bindSources(
    requiredTensors(graph),
    checkpoint,
    (name, shape) => network.source(name, shape),
    (key) => network.ignores(key),
  );
}

/** Lists the tensors of a network's head in its checkpoint. */
export function headKeys(network: FamilyNetwork): Set<string> {
  const { unet, head } = network;
  if (head === null) return new Set();
  const tensors = [...requiredTensors(unetGraph({ ...unet, head }))].filter(([name]) =>
    name.startsWith(`${head.prefix}.`),
  );
  return new Set(tensors.map(([name, shape]) => network.source(name, shape).key));
}

/** The tensors of a checkpoint that a network or its head is made of. */
export function knownTensors(network: FamilyNetwork, checkpoint: Checkpoint): Checkpoint {
  const whole = requiredTensors(unetGraph({ ...network.unet, head: network.head }));
  const known = new Set([...whole].map(([name, shape]) => network.source(name, shape).key));
  const tensors = [...checkpoint.tensors].filter(([key]) => known.has(key));
  return { files: checkpoint.files, tensors: new Map(tensors) };
}

/** Prefixes that wrappers put before all names. */
const wrappers = ['module.', '_orig_mod.', 'model.diffusion_model.', 'diffusion_model.', 'model.', 'unet.', 'network.'];

/** Removes the prefix that all names share, as far as wrappers put it there. */
export function unwrapNames(checkpoint: Checkpoint): Checkpoint {
  const names = [...checkpoint.tensors.keys()];
  const shared = wrappers.find((prefix) => names.length > 0 && names.every((name) => name.startsWith(prefix)));
  if (shared === undefined) return checkpoint;
  const tensors = new Map([...checkpoint.tensors].map(([name, entry]) => [name.slice(shared.length), entry]));
  return unwrapNames({ files: checkpoint.files, tensors });
}
