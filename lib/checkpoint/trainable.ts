import { basename, dirname, extname, join } from 'node:path';

import { elementCount } from '../base/arrays.js';
import { throwIfAborted } from '../base/abort.js';
import { DpmError } from '../base/errors.js';
import { dataOf, type WeightTensors } from '../engine/checkpoint-tensors.js';
import type { NativeGivenConstant, NativeGraph } from '../engine/native-graph.js';
import { ConfigReader } from '../files/config-reader.js';
import { isThere } from '../files/files.js';
import { floatsOf, gather } from '../files/floats.js';
import { requiredTensors } from '../network/cost.js';
import type { UNetDescription } from '../network/description.js';
import type { Graph } from '../network/graph.js';
import { unetGraph } from '../network/unet.js';
import { NoiseSchedule } from '../schedule/noise-schedule.js';
import { nativeGraph, type Checkpoint } from './checkpoint.js';
import { readNamedConfig } from './config-source.js';
import { convertedBytes } from './convert.js';
import { familyByName } from './families/index.js';
import { familyName } from './family-model.js';
import { ofNetwork } from './family-schedule.js';
import {
  bindTensors,
  networkOf,
  type Family,
  type FamilyNetwork,
  type FolderLayout,
  type LabelForNone,
} from './family.js';
import type { ModelFolder } from './model-folder.js';
import type { HeadName } from './heads.js';
import { presets } from './presets.js';
import { readModelFolder, readObject, requireSchedulerFile, schedulerFile } from './read-model.js';
import { withTrainableHead, type HeadMode, type TrainableHead } from './trainable-head.js';
import { openSingleFile } from './weight-files.js';
import { requireMatchingWeights } from './weight-report.js';

/** Fields of a configuration, or of a scheduler's. */
type Fields = Readonly<Record<string, unknown>>;

/** What training reads of a network beside its graph: shapes of what it sees and gives, and the names of its weights. */
export interface LearnedNetwork extends Pick<FamilyNetwork, 'source' | 'ignores' | 'initial'> {
  readonly unet: Pick<
    UNetDescription,
    'inChannels' | 'outChannels' | 'height' | 'width' | 'classes' | 'divisor' | 'pool'
  >;
  readonly head: FamilyNetwork['head'];
}

/** A network to train: what it is, its noise schedule, and the weights that it begins with. */
export interface TrainableNetwork {
  /**
   * What learns: a network that sees noised images, one that sees a text beside them, with its text encoder, or an
   * autoencoder, which sees images as they are and is to give them back.
   */
  readonly kind: 'network' | 'captioned' | 'autoencoder';
  /** Name of the source in messages. */
  readonly source: string;
  /** Its configuration; of another family than diffusers with the field `family`. */
  readonly config: Fields;
  readonly network: LearnedNetwork;
  /** Graph of the network, with a head if that is what learns. */
  readonly graph: Graph;
  /** Graph of the network without a head that learns. */
  readonly alone: Graph;
  /** Makes the graph of a network whose maps drop out. @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for one that cannot. */
  readonly droppingOut: (rate: number) => Graph;
  /** Head that learns; null: the network does. */
  readonly head: TrainableHead | null;
  readonly schedule: NoiseSchedule;
  /** Configuration of the scheduler; null for families whose configuration says all. */
  readonly scheduler: Fields | null;
  readonly layout: FolderLayout;
  readonly labelForNone: LabelForNone;
  /** Weights by the family's names; null: it begins with nothing. */
  readonly weights: Checkpoint | null;
}

/** Options of {@link readTrainable}. */
export interface TrainableOptions {
  /** Configuration of a checkpoint file. */
  readonly config?: string | undefined;
  /** Path of a `scheduler_config.json`, or of its folder. */
  readonly schedule?: string | undefined;
  /** Head that is to learn, on a model. */
  readonly head?: HeadName | undefined;
  readonly headMode?: HeadMode | undefined;
}

function refuseSchedule(source: string, family: Family): DpmError {
  return new DpmError(
    'ERR_DPM_ARGUMENT',
    `schedule: the configuration of ${family.name}, as ${source}, says the noise schedule itself`,
  );
}

/** Finds the scheduler file of a configuration in the folder that this is part of; null if there is none. */
async function schedulerBeside(source: string, { network }: FolderLayout): Promise<string | null> {
  if (!(await isThere(source))) return null;
  const own = dirname(source);
  return schedulerFile(basename(own) === network ? dirname(own) : own);
}

/**
 * Makes a network of a configuration, which begins with nothing.
 *
 * @param source - Path of the configuration, or its name in messages.
 * @throws {@link DpmError} naming the wrong field or option.
 */
export async function trainableOf(config: Fields, source: string, given?: string): Promise<TrainableNetwork> {
  const family = familyByName(familyName(config, source));
  const network = networkOf(family, config, source, undefined);
  const { layout, labelForNone } = family;
  const options = ofNetwork(network.unet, {});
  const graph = unetGraph(network.unet);
  const droppingOut = (rate: number): Graph => unetGraph(network.unet, rate);
  const own = { kind: 'network', source, config, network, graph, alone: graph, droppingOut } as const;
  const common = { ...own, head: null, layout, labelForNone, weights: null };
  if (layout.scheduler === null) {
    if (given !== undefined) throw refuseSchedule(source, family);
    return { ...common, schedule: family.schedule(new ConfigReader(config, source), options), scheduler: null };
  }
  const file = given === undefined ? await schedulerBeside(source, layout) : await requireSchedulerFile(given);
  const scheduler = file === null ? layout.scheduler : await readObject(file);
  const schedule = NoiseSchedule.fromSchedulerConfig(scheduler, options, file ?? `the scheduler of ${source}`);
  const { family: _, ...unnamed } = config;
  return { ...common, config: unnamed, schedule, scheduler };
}

/** Makes a network of a model, which goes on from the model's weights. */
async function trainableModel(
  model: ModelFolder,
  { schedule: given, head, headMode }: TrainableOptions,
): Promise<TrainableNetwork> {
  const { path, config, schedule, layout, labelForNone, weights } = model;
  const family = familyByName(model.family);
  if (layout.scheduler === null && given !== undefined) throw refuseSchedule(path, family);
  const named = layout.namesFamily ? { family: family.name, ...config } : config;
  const network = networkOf(family, named, path, undefined);
  const file = model.companions.get(join('scheduler', 'scheduler_config.json'));
  const alone = unetGraph(network.unet);
  const wanted = head && { name: head, mode: headMode };
  return {
    kind: 'network',
    source: path,
    ...(wanted === undefined
      ? { config: named, network, graph: alone, weights, head: null }
      : await withTrainableHead(model, family, named, network, wanted)),
    alone,
    droppingOut: (rate) => unetGraph(network.unet, rate),
    schedule,
    scheduler: file === undefined ? layout.scheduler : await readObject(file),
    layout,
    labelForNone,
  };
}

function isConfigName(name: string): boolean {
  return Object.hasOwn(presets, name) || ['.json', '.yaml', '.yml'].includes(extname(name).toLowerCase());
}

/**
 * Reads a network to train: a configuration, as an object, a JSON or YAML file or the name of a preset, which begins with
 * nothing; or a model, as {@link readModelFolder} finds it, which goes on from its weights. The scheduler of a diffusers
 * configuration is the given one, that of the folder it is part of, or DDPM's.
 *
 * @throws {@link DpmError} naming the file, the wrong field or option.
 */
export async function readTrainable(given: string | Fields, options: TrainableOptions): Promise<TrainableNetwork> {
  const { config, schedule, head } = options;
  const refuse = (what: string): DpmError =>
    new DpmError('ERR_DPM_ARGUMENT', `config is for checkpoint files, ${what} is none`);
  const isModel = typeof given === 'string' && !isConfigName(given);
  if (head !== undefined && !isModel) {
    throw new DpmError('ERR_DPM_ARGUMENT', 'head: a head learns on a model that has learned, not on a configuration');
  }
  if (typeof given !== 'string') {
    if (config !== undefined) throw refuse('an object');
    return trainableOf(given, 'the network', schedule);
  }
  if (!isConfigName(given)) return trainableModel(await readModelFolder(given, { config, schedule }), options);
  if (config !== undefined) throw refuse(given);
  const named = await readNamedConfig(given);
  return trainableOf(named.config, named.source, schedule);
}

/**
 * Reads the weights of a network into memory, as float32.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_*` naming the tensor that does not fit; `ERR_DPM_ABORTED`.
 */
export async function readWeights(
  { network, graph }: Pick<TrainableNetwork, 'network' | 'graph'>,
  checkpoint: Checkpoint,
  signal: AbortSignal | undefined,
): Promise<WeightTensors> {
  requireMatchingWeights(bindTensors(network, graph, checkpoint).report, checkpoint);
  const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const [name, shape] of requiredTensors(graph)) {
    const { key } = network.source(name, shape);
    const entry = checkpoint.tensors.get(key);
    if (entry === undefined || tensors.has(key)) continue;
    throwIfAborted(signal);
    const bytes = await convertedBytes(checkpoint.files[entry.file] ?? '', key, entry, 'f32');
    tensors.set(key, { shape: entry.shape, data: floatsOf('F32', bytes, elementCount(entry.shape)) });
  }
  return tensors;
}

/**
 * Makes a graph whose weights are in a file of all of them, by the family's names, which the engine reads one by one.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_*` naming the tensor that does not fit; those of opening the file.
 */
export async function graphOfFile({ network, graph }: TrainableNetwork, path: string): Promise<NativeGraph> {
  const opened = await openSingleFile(path);
  const { checkpoint, report } = bindTensors(network, graph, opened);
  requireMatchingWeights(report, opened);
  return nativeGraph(graph, checkpoint);
}

/**
 * Makes a graph whose weights are in memory, for the engine. Those that are parts of tensors are copied when the engine
 * asks for them, one by one into the same array.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING` or `ERR_DPM_TENSOR_SHAPE` naming the tensor.
 */
export function graphOfTensors({ network, graph }: TrainableNetwork, tensors: WeightTensors): NativeGraph {
  const { values, nodes, constants } = graph;
  const room = new Float32Array(Math.max(...constants.map(({ shape }) => elementCount(shape))));
  const given = constants.map(({ name, shape, values: known }): NativeGivenConstant => {
    if (known !== undefined) return { name, shape, values: known };
    const { key, shape: inFile = shape, view } = network.source(name, shape);
    const source = { name: key, shape: inFile, view };
    const data = dataOf(tensors, source);
    if (view === undefined) return { name, shape, values: data, source };
    return {
      name,
      shape,
      get values() {
        return gather(data.subarray(view.offset), view.dims, view.strides, room.subarray(0, elementCount(shape)));
      },
      source,
    };
  });
  return { values, nodes, constants: given, files: [] };
}
