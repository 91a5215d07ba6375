import { basename, dirname, extname, join } from 'node:path';

import { elementCount } from '../base/arrays.js';
import { throwIfAborted } from '../base/abort.js';
import { DpmError } from '../base/errors.js';
import type { NativeGivenConstant, NativeGraph } from '../engine/native-graph.js';
import { ConfigReader } from '../files/config-reader.js';
import { isThere } from '../files/files.js';
import { floatsOf, gather } from '../files/floats.js';
import type { Graph } from '../network/graph.js';
import { unetGraph } from '../network/unet.js';
import { NoiseSchedule } from '../schedule/noise-schedule.js';
import type { Checkpoint } from './checkpoint.js';
import { readNamedConfig } from './config-source.js';
import { convertedBytes } from './convert.js';
import { diffusersFile } from './families/diffusers-file.js';
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
import { presets } from './presets.js';
import { readModelFolder, readObject, readSchedule, schedulerFile } from './read-model.js';
import { requireMatchingWeights } from './weight-report.js';

/** Fields of a configuration, or of a scheduler's. */
type Fields = Readonly<Record<string, unknown>>;

/** Tensors of float32 in memory, by their names in files of their family. */
export type WeightTensors = ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;

/** A network to train: what it is, its noise schedule, and the weights that it begins with. */
export interface TrainableNetwork {
  /** Name of the source in messages. */
  readonly source: string;
  /** Its configuration; of another family than diffusers with the field `family`. */
  readonly config: Fields;
  readonly network: FamilyNetwork;
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
}

function refuseSchedule(source: string, family: Family): DpmError {
  return new DpmError(
    'ERR_DPM_ARGUMENT',
    `schedule: the configuration of ${family.name}, as ${source}, says the noise schedule itself`,
  );
}

/** Finds the scheduler of a configuration: the given one, or that of the folder that the configuration is part of. */
async function schedulerOf(source: string, given: string | undefined, layout: FolderLayout): Promise<Fields | null> {
  if (given !== undefined) {
    const { file } = await readSchedule(given, {});
    return file === null ? null : readObject(file);
  }
  const own = dirname(source);
  const model = basename(own) === layout.network ? dirname(own) : own;
  const beside = (await isThere(source)) ? await schedulerFile(model) : null;
  return beside === null ? layout.scheduler : readObject(beside);
}

/**
 * Makes a network of a configuration, which begins with nothing.
 *
 * @param source - Path of the configuration, or its name in messages.
 * @throws {@link DpmError} naming the wrong field or option.
 */
export async function trainableOf(config: Fields, source: string, given?: string): Promise<TrainableNetwork> {
  const family = familyByName(familyName({ ...config }, source));
  const network = networkOf(family, config, source, undefined);
  const { layout, labelForNone } = family;
  const options = ofNetwork(network.unet, {});
  const common = { source, config, network, layout, labelForNone, weights: null };
  if (layout.scheduler === null) {
    if (given !== undefined) throw refuseSchedule(source, family);
    return { ...common, schedule: family.schedule(new ConfigReader(config, source), options), scheduler: null };
  }
  const scheduler = await schedulerOf(source, given, layout);
  const schedule = NoiseSchedule.fromSchedulerConfig({ ...scheduler }, options, `the scheduler of ${source}`);
  const { family: _, ...own } = config;
  return { ...common, config: own, schedule, scheduler };
}

/** Makes a network of a model, which goes on from the model's weights. */
async function trainableModel(model: ModelFolder, given: string | undefined): Promise<TrainableNetwork> {
  const { path, config, schedule, layout, labelForNone, weights } = model;
  const family = model.family === diffusersFile.name ? diffusersFile : familyByName(model.family);
  if (layout.scheduler === null && given !== undefined) throw refuseSchedule(path, family);
  const named = layout.namesFamily ? { family: family.name, ...config } : config;
  const file = model.companions.get(join('scheduler', 'scheduler_config.json'));
  return {
    source: path,
    config: named,
    network: networkOf(family, named, path, undefined),
    schedule,
    scheduler: file === undefined ? layout.scheduler : await readObject(file),
    layout,
    labelForNone,
    weights,
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
export async function readTrainable(
  given: string | Fields,
  { config, schedule }: TrainableOptions,
): Promise<TrainableNetwork> {
  const refuse = (what: string): DpmError =>
    new DpmError('ERR_DPM_ARGUMENT', `config is for checkpoint files, ${what} is none`);
  if (typeof given !== 'string') {
    if (config !== undefined) throw refuse('an object');
    return trainableOf(given, 'the network', schedule);
  }
  if (!isConfigName(given)) return trainableModel(await readModelFolder(given, { config, schedule }), schedule);
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
  { network }: TrainableNetwork,
  checkpoint: Checkpoint,
  signal: AbortSignal | undefined,
): Promise<WeightTensors> {
  const graph = unetGraph(network.unet);
  requireMatchingWeights(bindTensors(network, graph, checkpoint).report, checkpoint);
  const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const { name, shape, values } of graph.constants) {
    const { key } = network.source(name, shape);
    const entry = checkpoint.tensors.get(key);
    if (values !== undefined || entry === undefined || tensors.has(key)) continue;
    throwIfAborted(signal);
    const bytes = await convertedBytes(checkpoint.files[entry.file] ?? '', key, entry, 'f32');
    tensors.set(key, { shape: entry.shape, data: floatsOf('F32', bytes, elementCount(entry.shape)) });
  }
  return tensors;
}

/**
 * Makes a graph whose weights are in memory, for the engine.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING` or `ERR_DPM_TENSOR_SHAPE` naming the tensor.
 */
export function graphOfTensors(
  network: FamilyNetwork,
  { values, nodes, constants }: Graph,
  tensors: WeightTensors,
): NativeGraph {
  const given = constants.map(({ name, shape, values: known }): NativeGivenConstant => {
    if (known !== undefined) return { name, shape, values: known };
    const { key, shape: inFile = shape, view } = network.source(name, shape);
    const tensor = tensors.get(key);
    if (tensor === undefined) throw new DpmError('ERR_DPM_TENSOR_MISSING', `there is no tensor '${key}'`);
    if (tensor.shape.join() !== inFile.join()) {
      throw new DpmError(
        'ERR_DPM_TENSOR_SHAPE',
        `tensor '${key}' is [${tensor.shape.join(', ')}], it has to be [${inFile.join(', ')}]`,
      );
    }
    const own = view === undefined ? tensor.data : gather(tensor.data.subarray(view.offset), view.dims, view.strides);
    return { name, shape, values: own, source: { name: key, shape: inFile, view } };
  });
  return { values, nodes, constants: given, files: [] };
}
