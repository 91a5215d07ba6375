import { extname, join } from 'node:path';

import { DpmError } from '../../base/errors.js';
import { isJsonObject } from '../../files/config-reader.js';
import { isThere } from '../../files/files.js';
import type { Checkpoint } from '../../checkpoint/checkpoint.js';
import { readNamedConfig } from '../../checkpoint/config-source.js';
import { isPositionTable } from '../../checkpoint/folder-files.js';
import { modelPath } from '../../checkpoint/model-path.js';
import { captionedPrefixes, type CaptionedConfigs } from '../../checkpoint/pipelines/trainable-captioned.js';
import { readObject } from '../../checkpoint/read-model.js';
import { findWeights, openWeights } from '../../checkpoint/weight-files.js';
import { defaultPipeline } from './default-pipeline.js';

type Fields = Readonly<Record<string, unknown>>;

/** Networks of a pipeline to train. */
export interface GivenPipeline {
  /** Name of the source in messages. */
  readonly source: string;
  /** Gives their configurations, for latents of a shape. */
  readonly configsFor: (shape: readonly [number, number, number]) => CaptionedConfigs;
  /** Folder of a pipeline that goes on from its weights; null: they begin with nothing. */
  readonly folder: string | null;
}

function ofFields(config: Fields, source: string): GivenPipeline {
  const { unet, text_encoder: textEncoder, scheduler, ...others } = config;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined || !isJsonObject(unet) || !isJsonObject(textEncoder)) {
    throw new DpmError(
      'ERR_DPM_CONFIG',
      `${source} has to be an object of unet and text_encoder, the configurations of both, and scheduler where it is not the default${unknown === undefined ? '' : `; it has '${unknown.slice(0, 80)}'`}`,
    );
  }
  if (scheduler !== undefined && !isJsonObject(scheduler)) {
    throw new DpmError('ERR_DPM_CONFIG', `${source}: scheduler has to be an object`);
  }
  return {
    source,
    configsFor: (shape) => ({ unet, textEncoder, scheduler: scheduler ?? defaultPipeline(shape).scheduler }),
    folder: null,
  };
}

async function ofFolder(folder: string): Promise<GivenPipeline> {
  const [unet, textEncoder, scheduler] = await Promise.all([
    readObject(join(folder, 'unet', 'config.json')),
    readObject(join(folder, 'text_encoder', 'config.json')),
    readObject(join(folder, 'scheduler', 'scheduler_config.json')),
  ]);
  return { source: folder, configsFor: () => ({ unet, textEncoder, scheduler }), folder };
}

/**
 * Reads the networks that are to learn from captions: the default ones, the configurations of a text encoder and of a U-Net, as
 * an object or a JSON file, or the folder of a pipeline in diffusers' layout, which goes on from its weights.
 *
 * @throws {@link DpmError} naming the file and what is wrong.
 */
export async function readGivenPipeline(given: string | Fields | undefined): Promise<GivenPipeline> {
  if (given === undefined) return { source: 'the default pipeline', configsFor: defaultPipeline, folder: null };
  if (typeof given !== 'string') return ofFields(given, 'the network');
  if (extname(given).toLowerCase() === '.json') {
    const { config, source } = await readNamedConfig(given);
    return ofFields(config, source);
  }
  const folder = await modelPath(given);
  if (await isThere(join(folder, 'model_index.json'))) return ofFolder(folder);
  throw new DpmError(
    'ERR_DPM_FILE',
    `${folder} has no model_index.json: captions are learned by a pipeline of a text encoder and a U-Net`,
  );
}

async function prefixed(folder: string, prefix: string, ...stems: [string, ...string[]]): Promise<Checkpoint> {
  const { files, tensors } = (await openWeights(await findWeights(folder, ...stems))).checkpoint;
  const named = [...tensors].map(([name, entry]) => [`${prefix}${name}`, entry] as const);
  return { files, tensors: new Map(named) };
}

/** Brings names of a text encoder to those with which they are written, and leaves out what is no weight. */
function withTextModel({ files, tensors }: Checkpoint): Checkpoint {
  const { textEncoder } = captionedPrefixes;
  const named = [...tensors].flatMap(([name, entry]) => {
    const own = name.slice(textEncoder.length).replace(/^text_model\./, '');
    return isPositionTable(own) ? [] : [[`${textEncoder}text_model.${own}`, entry] as const];
  });
  return { files, tensors: new Map(named) };
}

/** Opens the weights of a pipeline's folder, by the names of a run's tensors. */
export async function pipelineWeights(folder: string): Promise<Checkpoint> {
  const unet = await prefixed(join(folder, 'unet'), captionedPrefixes.unet, 'diffusion_pytorch_model');
  const encoder = join(folder, 'text_encoder');
  const text = withTextModel(await prefixed(encoder, captionedPrefixes.textEncoder, 'model', 'pytorch_model'));
  const behind = [...text.tensors].map(
    ([name, entry]) => [name, { ...entry, file: entry.file + unet.files.length }] as const,
  );
  return { files: [...unet.files, ...text.files], tensors: new Map([...unet.tensors, ...behind]) };
}
