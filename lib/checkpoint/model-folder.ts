import { access } from 'node:fs/promises';
import { join } from 'node:path';

import { DpmError } from '../errors.js';
import { readJson } from '../files.js';
import type { NativeUNet, NativeWeights } from '../native.js';
import { NoiseSchedule, type ScheduleOptions } from '../schedule/noise-schedule.js';
import { readGammaTable, type GammaTable } from '../variance/gamma.js';
import { nativeWeights, openCheckpoint, renameTensors, type Checkpoint } from './checkpoint.js';
import { isJsonObject } from './config-reader.js';
import { parseDiffusersConfig } from './diffusers-config.js';
import { canonicalDiffusersName, diffusersNetwork } from './diffusers.js';
import { addHead, readHeadsConfig, type HeadName, type HeadsConfig } from './heads.js';
import { compareWeights, requiredTensors, requireMatchingWeights, type WeightReport } from './network.js';

/** A model folder, read but not loaded onto a device. */
export interface ModelFolder {
  path: string;
  /** The dialect of the checkpoint, and how it was recognised. */
  family: string;
  evidence: string;
  config: Record<string, unknown>;
  unet: NativeUNet;
  checkpoint: Checkpoint;
  schedule: NoiseSchedule;
  heads: HeadsConfig | null;
  gamma: GammaTable | null;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}

async function readObject(path: string): Promise<Record<string, unknown>> {
  const json = await readJson(path);
  if (!isJsonObject(json)) throw new DpmError('ERR_DPM_CONFIG', `${path} is not a JSON object`);
  return json;
}

/** `unet/` of a pipeline folder, or the folder itself where a lone network was saved. */
async function networkFolder(path: string): Promise<string> {
  const inside = join(path, 'unet');
  if (await isThere(join(inside, 'config.json'))) return inside;
  if (await isThere(join(path, 'config.json'))) return path;
  throw new DpmError(
    'ERR_DPM_FILE',
    `cannot open the model ${path}: neither unet/config.json nor config.json is there`,
  );
}

async function readSchedule(path: string, options: ScheduleOptions): Promise<NoiseSchedule> {
  const file = join(path, 'scheduler', 'scheduler_config.json');
  if (!(await isThere(file))) {
    throw new DpmError(
      'ERR_DPM_FILE',
      `cannot open ${file}: a model folder needs the noise schedule it was trained with`,
    );
  }
  return NoiseSchedule.fromSchedulerConfig(await readObject(file), options, file);
}

/**
 * Reads a model folder in the diffusers layout: `unet/config.json` and its weights, `scheduler/scheduler_config.json` and,
 * where they are, `heads/config.json` and `gamma.json`. Weights are not compared with the configuration yet.
 *
 * @throws {@link DpmError} naming the file and the field that is wrong.
 */
export async function readModelFolder(path: string, options: ScheduleOptions = {}): Promise<ModelFolder> {
  const folder = await networkFolder(path);
  const configPath = join(folder, 'config.json');
  const config = await readObject(configPath);
  const unet = diffusersNetwork(parseDiffusersConfig(config, configPath), configPath);
  const checkpoint = renameTensors(await openCheckpoint(folder, 'diffusion_pytorch_model'), canonicalDiffusersName);
  const headsFolder = join(path, 'heads');
  const gammaPath = join(path, 'gamma.json');
  return {
    path,
    family: 'diffusers',
    evidence: `${configPath} describes a UNet2DModel`,
    config,
    unet,
    checkpoint,
    schedule: await readSchedule(path, options),
    heads: (await isThere(join(headsFolder, 'config.json'))) ? await readHeadsConfig(headsFolder) : null,
    gamma: (await isThere(gammaPath)) ? await readGammaTable(gammaPath) : null,
  };
}

/** The network of a folder with one of its heads, or none, and how the weights fit. */
export async function selectNetwork(
  folder: ModelFolder,
  head: HeadName | null,
): Promise<{ unet: NativeUNet; checkpoint: Checkpoint; report: WeightReport }> {
  let selected = { unet: folder.unet, checkpoint: folder.checkpoint };
  if (head !== null) {
    if (folder.heads === null) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        `the model ${folder.path} has no variance heads, head '${head}' is not available`,
      );
    }
    selected = await addHead(folder.unet, folder.checkpoint, folder.heads, head);
  }
  return { ...selected, report: compareWeights(requiredTensors(selected.unet), selected.checkpoint) };
}

/**
 * What the engine loads: the network and its weights, compared name by name and shape by shape.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_MISSING`, `ERR_DPM_TENSOR_SHAPE`, `ERR_DPM_TENSOR_UNUSED`, `ERR_DPM_TENSOR_DTYPE`.
 */
export async function loadableNetwork(
  folder: ModelFolder,
  head: HeadName | null,
): Promise<{ unet: NativeUNet; weights: NativeWeights }> {
  const { unet, checkpoint, report } = await selectNetwork(folder, head);
  requireMatchingWeights(report, checkpoint);
  return { unet, weights: nativeWeights(checkpoint, requiredTensors(unet).keys()) };
}
