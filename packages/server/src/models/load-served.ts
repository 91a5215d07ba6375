import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import {
  type BatcherOptions,
  createBatcher,
  DiffusionModel,
  DpmError,
  isPipeline,
  type LoadOptions,
  TextToImage,
} from 'dpm-native';

import { sidesOf } from '../base/size.js';
import { loadOptions } from '../config/load-options.js';
import type { ModelConfig } from '../config/model-config.js';
import { sizesOf, type ServedModel, type ServedPixels, type ServedPrompts } from './served.js';

/** A model that has been loaded, and its equal replicas. */
export interface LoadedModel {
  readonly served: ServedModel;
  readonly replicas: readonly (DiffusionModel | TextToImage)[];
}

/** Closes the replicas of a model. */
export async function closeAll(replicas: LoadedModel['replicas']): Promise<void> {
  await Promise.all(replicas.map((model) => model.close()));
}

/** The fields of a configuration that are for pipelines alone, and those that are for models of pixels alone. */
const ofPrompts = ['sizes', 'loras', 'preview', 'batches', 'promptSlots'] as const;
const ofPixels = ['config', 'engines', 'labels'] as const;

/** @throws {@link DpmError} `ERR_DPM_CONFIG` for a field that the model's kind does not have. */
function requireFields(id: string, config: ModelConfig, wrong: readonly (keyof ModelConfig)[], kind: string): void {
  const field = wrong.find((name) => config[name] !== undefined);
  if (field !== undefined) throw new DpmError('ERR_DPM_CONFIG', `model ${id}: ${field} is not for ${kind}`);
}

async function loadPixels(
  id: string,
  config: ModelConfig,
  options: BatcherOptions,
  replicas: DiffusionModel[],
): Promise<Omit<ServedPixels, 'created'>> {
  requireFields(id, config, ofPrompts, 'models of pixels');
  for (let i = 0; i < (config.engines ?? 1); ++i) {
    replicas.push(await DiffusionModel.load(config.path, loadOptions(config)));
  }
  const [model] = replicas;
  if (model === undefined) throw new DpmError('ERR_DPM_INTERNAL', 'a model has no replica');
  const batcher = replicas.length === 1 ? await model.batcher(options) : await createBatcher(replicas, options);
  const digest = await model.digest();
  return { kind: 'pixels', id, digest, config, model, batcher, labels: config.labels ?? [] };
}

/** SHA-256 of a pipeline and the LoRAs that its requests may name, as these change what a request draws. */
async function digestOf(model: TextToImage, { loras = {} }: ModelConfig): Promise<string> {
  const own = await model.digest();
  const named = Object.entries(loras).sort(([a], [b]) => (a < b ? -1 : 1));
  if (named.length === 0) return own;
  const hash = createHash('sha256').update(own);
  for (const [name, path] of named) {
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (cause) {
      throw new DpmError('ERR_DPM_FILE', `cannot read ${path}, the LoRA ${name}`, { cause });
    }
    hash.update(`\n${JSON.stringify(name)} ${createHash('sha256').update(bytes).digest('hex')}`);
  }
  return hash.digest('hex');
}

async function loadPrompts(
  id: string,
  config: ModelConfig,
  // Calls of a pipeline make their programs themselves.
  { compile: _, ...options }: BatcherOptions,
  replicas: TextToImage[],
): Promise<Omit<ServedPrompts, 'created'>> {
  requireFields(id, config, ofPixels, 'pipelines of text to image');
  const { config: __, ...load }: LoadOptions = loadOptions(config);
  const model = await TextToImage.load(config.path, { ...load, preview: config.preview });
  replicas.push(model);
  const { promptSlots, sizes = [] } = config;
  // Batches of all sizes stay, and there is one for a LoRA.
  const batches = Math.max(config.batches ?? 0, sizes.length + 2);
  const batcher = await model.batcher({ ...options, batches, promptSlots });
  const served = { kind: 'prompts', id, config, model, batcher, labels: [] } as const;
  for (const size of sizesOf({ ...served, digest: '', created: 0 })) await batcher.prepare(sidesOf(size));
  return { ...served, digest: await digestOf(model, config) };
}

/**
 * Loads a model of pixels or a pipeline of text to image, and opens its batch.
 *
 * @throws {@link DpmError} as `DiffusionModel.load`, `TextToImage.load` and their `batcher` do, `ERR_DPM_CONFIG` for a field of
 * the other kind.
 */
export async function loadServed(id: string, config: ModelConfig, options: BatcherOptions): Promise<LoadedModel> {
  const replicas: (DiffusionModel | TextToImage)[] = [];
  try {
    const load = (await isPipeline(config.path)) ? loadPrompts : loadPixels;
    const served = await load(id, config, options, replicas as (DiffusionModel & TextToImage)[]);
    return { served: { ...served, created: Math.floor(Date.now() / 1000) }, replicas };
  } catch (error) {
    await closeAll(replicas);
    throw error;
  }
}
