import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { DpmError } from '../base/errors.js';
import { isJsonObject } from '../files/config-reader.js';
import { isThere, readJson } from '../files/files.js';
import { requiredTensors } from '../network/cost.js';
import { unetGraph } from '../network/unet.js';
import { NoiseSchedule } from '../schedule/noise-schedule.js';
import type { ScheduleOptions } from '../schedule/schedule-options.js';
import { readGammaTable, type GammaTable } from '../variance/gamma.js';
import { renameTensors } from './checkpoint.js';
import { addClassVectors } from './class-vectors.js';
import { readNamedConfig } from './config-source.js';
import { parseDiffusersConfig } from './diffusers-config.js';
import { canonicalDiffusersName, diffusersNetwork } from './diffusers.js';
import { diffusersFile, diffusersLayout } from './families/diffusers-file.js';
import { families } from './families/index.js';
import { readFamily } from './family-model.js';
import { ofNetwork } from './family-schedule.js';
import { unwrapNames } from './family.js';
import { pipelineFiles } from './folder-files.js';
import { addHead, readHeadsConfig, type HeadName, type HeadsConfig } from './heads.js';
import { resized, type ImageSize } from './image-size.js';
import type { ModelFolder } from './model-folder.js';
import { modelPath } from './model-path.js';
import { presetNames } from './presets.js';
import { findWeights, openWeights } from './weight-files.js';
import { compareWeights } from './weight-report.js';

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** Reads a JSON object. @throws {@link DpmError} naming the file. */
export async function readObject(path: string): Promise<Record<string, unknown>> {
  const json = await readJson(path);
  if (!isJsonObject(json)) throw new DpmError('ERR_DPM_CONFIG', `${path} is not a JSON object`);
  return json;
}

/** Finds `unet/` of a pipeline folder, or the folder itself if a lone network was saved. */
async function networkFolder(path: string): Promise<string> {
  const inside = join(path, 'unet');
  if (await isThere(join(inside, 'config.json'))) return inside;
  if (await isThere(join(path, 'config.json'))) return path;
  throw new DpmError(
    'ERR_DPM_FILE',
    `cannot open the model ${path}: neither unet/config.json nor config.json is there`,
  );
}

const schedulerName = 'scheduler_config.json';

/** Finds the scheduler file in its own folder, or beside a lone network; null if there is none. */
export async function schedulerFile(path: string): Promise<string | null> {
  if (await isFile(path)) return path;
  const places = [join(path, 'scheduler', schedulerName), join(path, schedulerName)];
  const there = await Promise.all(places.map(isThere));
  return places.find((_, i) => there[i]) ?? null;
}

/** A schedule, and the scheduler file that it is of. */
interface ReadSchedule {
  schedule: NoiseSchedule;
  file: string | null;
}

/**
 * Finds a scheduler file: the path itself, or in the folder that it is.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` naming the file that is missing.
 */
export async function requireSchedulerFile(path: string): Promise<string> {
  const file = await schedulerFile(path);
  if (file !== null) return file;
  const expected = join(path, 'scheduler', schedulerName);
  throw new DpmError(
    'ERR_DPM_FILE',
    `cannot open ${expected}: give the noise schedule that the network was trained with (schedule; --schedule on the command line)`,
  );
}

/** Reads the schedule of a scheduler file, or of the folder that it lies in. */
async function readSchedule(path: string, options: ScheduleOptions): Promise<ReadSchedule> {
  const file = await requireSchedulerFile(path);
  return { schedule: NoiseSchedule.fromSchedulerConfig(await readObject(file), options, file), file };
}

/** Makes the schedule that replaces a model's own. */
async function givenSchedule(given: NoiseSchedule | string, options: ScheduleOptions): Promise<ReadSchedule> {
  if (typeof given === 'string') return readSchedule(given, options);
  return {
    schedule: options.networkTime === undefined ? given : given.with({ networkTime: options.networkTime }),
    file: null,
  };
}

const { gamma: gammaFile } = pipelineFiles;

/** Reads the table of second moments of a folder, if there is one. */
export async function readGamma(folder: string): Promise<GammaTable | null> {
  const path = join(folder, gammaFile);
  return (await isThere(path)) ? readGammaTable(path) : null;
}

/** A folder in the diffusers layout. */
async function readDiffusers(
  path: string,
  folder: string,
  { imageSize, schedule, ...options }: ReadModelOptions,
): Promise<ModelFolder> {
  const configPath = join(folder, 'config.json');
  const config = await readObject(configPath);
  const opened = await openWeights(await findWeights(folder, 'diffusion_pytorch_model'));
  const weights = renameTensors(opened.checkpoint, canonicalDiffusersName);
  const whole = await addClassVectors(parseDiffusersConfig(config, configPath, imageSize), weights, folder);
  const unet = resized(diffusersNetwork(whole.config, configPath), imageSize);
  const headsFolder = join(path, 'heads');
  const heads = (await isThere(join(headsFolder, 'config.json'))) ? await readHeadsConfig(headsFolder) : null;
  const of = ofNetwork(unet, options);
  const read = await (schedule === undefined ? readSchedule(path, of) : givenSchedule(schedule, of));
  return {
    path,
    family: diffusersFile.name,
    evidence: `${configPath} describes a UNet2DModel`,
    config,
    schedule: read.schedule,
    labelForNone: diffusersFile.labelForNone,
    layout: diffusersLayout,
    heads: [...(heads?.files.keys() ?? [])],
    gamma: await readGamma(path),
    weights,
    companions: await companionsOf(path, { heads, classVectors: whole.file, scheduler: read.file }),
    async select(head) {
      const { checkpoint } = whole;
      const selected =
        head === null ? { unet, checkpoint } : await addHead(unet, checkpoint, requireHeads(heads, path, head), head);
      const graph = unetGraph(selected.unet);
      return { ...selected, graph, report: compareWeights(requiredTensors(graph), selected.checkpoint) };
    },
  };
}

async function companionsOf(
  path: string,
  {
    heads,
    classVectors,
    scheduler,
  }: { heads: HeadsConfig | null; classVectors: string | null; scheduler: string | null },
): Promise<Map<string, string>> {
  const headFiles = heads === null ? [] : ['config.json', ...heads.files.values()].map((file) => join('heads', file));
  const companions = new Map(headFiles.map((file) => [file, join(path, file)]));
  if (classVectors !== null) companions.set(join('unet', basename(classVectors)), classVectors);
  if (scheduler !== null) companions.set(join('scheduler', schedulerName), scheduler);
  if (await isThere(join(path, gammaFile))) companions.set(gammaFile, join(path, gammaFile));
  return companions;
}

function requireHeads<T>(heads: T | null, path: string, head: HeadName): T {
  if (heads !== null) return heads;
  throw new DpmError('ERR_DPM_ARGUMENT', `the model ${path} has no variance heads, head '${head}' is not available`);
}

export interface ReadModelOptions extends ScheduleOptions {
  /** Configuration of a checkpoint file: a JSON or YAML file, or the name of a preset. */
  config?: string | undefined;
  /** Size of the images, if not the configuration's. */
  imageSize?: ImageSize | undefined;
  /** Schedule that replaces the model's own: a schedule, or the path of a scheduler file or of its folder. */
  schedule?: NoiseSchedule | string | undefined;
}

/** A model of another family than diffusers' folders, with its own schedule or the given one. */
async function readOther(
  config: Record<string, unknown>,
  source: string,
  weights: string,
  { schedule, imageSize, ...options }: ReadModelOptions,
): Promise<ModelFolder> {
  const model = await readFamily(config, source, weights, { imageSize, ...options });
  if (schedule === undefined) return model;
  const { dataRange } = model.schedule.defaults;
  const given = await givenSchedule(schedule, { ...options, defaults: { dataRange, ...options.defaults } });
  return { ...model, schedule: given.schedule };
}

/** Reads a checkpoint file, which needs a configuration. */
async function readFile(path: string, { config, ...options }: ReadModelOptions): Promise<ModelFolder> {
  if (config !== undefined) {
    const named = await readNamedConfig(config);
    return readOther(named.config, named.source, path, options);
  }
  const { checkpoint } = await openWeights(path);
  const names = new Set(unwrapNames(checkpoint).tensors.keys());
  const looksLike = families.find((family) => family.recognise(names) !== null);
  throw new DpmError(
    'ERR_DPM_ARGUMENT',
    `${path} holds weights${looksLike === undefined ? '' : ` that look like ${looksLike.name}'s`}, which do not say what their network is: give config, a JSON or YAML file or one of ${presetNames.join(', ')}`,
  );
}

/**
 * Reads a model: a folder in the diffusers layout (`unet/config.json` and its weights, `scheduler/scheduler_config.json` and,
 * if they exist, `heads/config.json` and `gamma.json`), a folder of another family (`config.json` with the field `family`,
 * `model.safetensors` or another file of weights and, if it exists, `gamma.json`), or a checkpoint file with `config`.
 * Weights are not compared with the configuration yet.
 *
 * @throws {@link DpmError} naming the file and the wrong field.
 */
export async function readModelFolder(given: string | URL, options: ReadModelOptions = {}): Promise<ModelFolder> {
  const path = await modelPath(given);
  if (await isFile(path)) return readFile(path, options);
  if (options.config !== undefined) {
    throw new DpmError('ERR_DPM_ARGUMENT', `${path} is not a file: config is for checkpoint files`);
  }
  const folder = await networkFolder(path);
  const configPath = join(folder, 'config.json');
  const config = await readObject(configPath);
  if (!('family' in config)) return readDiffusers(path, folder, options);
  const model = await readOther(config, configPath, await findWeights(folder, 'model'), options);
  const gamma = await readGamma(folder);
  return {
    ...model,
    path: folder,
    gamma,
    companions: new Map(gamma === null ? [] : [[gammaFile, join(folder, gammaFile)]]),
  };
}
