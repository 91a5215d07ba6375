import { copyFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { untilAborted } from '../base/abort.js';
import { elementCount } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { isThere, makeFolder, writeAtomically } from '../files/files.js';
import { dtypeBytes } from '../files/safetensors.js';
import type { Checkpoint } from '../checkpoint/checkpoint.js';
import {
  storedTypes,
  weightTypeFact,
  writeWeights,
  writeWhole,
  type ConvertOptions,
  type Converted,
} from '../checkpoint/convert.js';
import { isPositionTable, pipelineFiles, tokenizerFiles } from '../checkpoint/folder-files.js';
import { readHeadsConfig } from '../checkpoint/heads.js';
import { modelPath } from '../checkpoint/model-path.js';
import { readObject, requireSchedulerFile } from '../checkpoint/read-model.js';
import { findWeights, openSingleFile, openWeights } from '../checkpoint/weight-files.js';
import { readAutoencoder } from '../checkpoint/pipelines/autoencoder.js';
import { readConditional } from '../checkpoint/pipelines/conditional.js';
import { readTextEncoder } from '../checkpoint/pipelines/text-encoder.js';

/** Parts with weights: where they lie, what their files may be called, and what tells that they fit. */
const networks: readonly {
  part: string;
  stems: readonly [string, ...string[]];
  read: (folder: string) => Promise<unknown>;
}[] = [
  { part: 'unet', stems: ['diffusion_pytorch_model'], read: readConditional },
  { part: 'vae', stems: ['diffusion_pytorch_model'], read: readAutoencoder },
  { part: 'text_encoder', stems: ['model', 'pytorch_model'], read: readTextEncoder },
  { part: 'text_encoder_2', stems: ['model', 'pytorch_model'], read: readTextEncoder },
];

/** Tokenizers that a pipeline may have. */
const tokenizers = ['tokenizer', 'tokenizer_2'];

/** Files of the pipeline and of its parts that are copied where they are there. */
const files = [
  ...Object.values(pipelineFiles),
  ...networks.map(({ part }) => join(part, 'config.json')),
  join('unet', 'heads', 'config.json'),
  ...tokenizers.flatMap((part) =>
    [...tokenizerFiles.required, ...tokenizerFiles.others].map((name) => join(part, name)),
  ),
];

type Fields = Readonly<Record<string, unknown>>;

/** Reads the list of a pipeline's parts, in which those that are not converted, as filters of what is drawn, are none. */
async function readIndex(folder: string): Promise<Fields> {
  const known = [...networks.map(({ part }) => part), ...tokenizers, 'scheduler'];
  const index = await readObject(join(folder, 'model_index.json'));
  const parts = Object.entries(index).map(([name, value]) => {
    const isPart = Array.isArray(value) && value.length === 2 && !known.includes(name);
    return [name, isPart ? [null, null] : value] as const;
  });
  return Object.fromEntries(parts);
}

/** Refuses a folder that lacks a file of a part which the pipeline has by its list. */
async function requireParts(folder: string, index: Fields): Promise<void> {
  const required = [
    ...networks.map(({ part }) => ({ part, names: ['config.json'] })),
    ...tokenizers.map((part) => ({ part, names: tokenizerFiles.required })),
  ];
  for (const { part, names } of required) {
    const listed = index[part];
    if (!Array.isArray(listed) || typeof listed[1] !== 'string') continue;
    for (const name of names) {
      if (await isThere(join(folder, part, name))) continue;
      throw new DpmError(
        'ERR_DPM_FILE',
        `${folder} has no ${join(part, name)}, a part of the pipeline by model_index.json`,
      );
    }
  }
}

/** A file of weights to write. */
interface WeightsToWrite {
  readonly path: string;
  readonly checkpoint: Checkpoint;
}

function withoutPositions({ files: from, tensors }: Checkpoint): Checkpoint {
  return { files: from, tensors: new Map([...tensors].filter(([name]) => !isPositionTable(name))) };
}

/** Opens the weights of all parts, once their configurations have been found to fit them. */
async function weightsOf(folder: string): Promise<WeightsToWrite[]> {
  const found: WeightsToWrite[] = [];
  for (const { part, stems, read } of networks) {
    const own = join(folder, part);
    if (!(await isThere(join(own, 'config.json')))) continue;
    await read(own);
    const { checkpoint } = await openWeights(await findWeights(own, ...stems));
    found.push({ path: join(part, `${stems[0]}.safetensors`), checkpoint: withoutPositions(checkpoint) });
  }
  const heads = join(folder, 'unet', 'heads');
  if (!(await isThere(join(heads, 'config.json')))) return found;
  for (const file of (await readHeadsConfig(heads)).files.values()) {
    found.push({ path: join('unet', 'heads', file), checkpoint: await openSingleFile(join(heads, file)) });
  }
  return found;
}

/** Lists the files that are copied. */
async function copiedFiles(folder: string): Promise<string[]> {
  const there = await Promise.all(files.map((file) => isThere(join(folder, file))));
  return files.filter((_, i) => there[i]);
}

/** Reads what is to be written, and checks that it is whole. */
async function readPipeline(folder: string) {
  const index = await readIndex(folder);
  await requireParts(folder, index);
  const scheduler = [join('scheduler', 'scheduler_config.json'), await requireSchedulerFile(folder)] as const;
  return { index, weights: await weightsOf(folder), copied: await copiedFiles(folder), scheduler };
}

/**
 * Writes a pipeline of text to image as a folder with safetensors, its heads, tokenizers and moments with it. Weights of the type
 * asked for are copied to the bit.
 *
 * @param path - Folder of the pipeline in diffusers' layout.
 * @param to - New folder, which must not exist; it is written whole or not at all.
 * @throws {@link DpmError} naming the part that is missing, the tensor that does not fit its configuration or the type;
 * `ERR_DPM_FILE` if writing fails, `ERR_DPM_ABORTED` if aborted.
 */
export async function convertPipeline(
  path: string,
  to: string,
  { dtype = weightTypeFact.standard, signal, onProgress }: ConvertOptions = {},
): Promise<Converted> {
  const folder = await modelPath(path);
  const { index, weights, copied, scheduler } = await untilAborted(signal, () => readPipeline(folder));
  const tensors = weights.flatMap(({ checkpoint }) => [...checkpoint.tensors.values()]);
  let done = 0;
  await writeWhole(to, async (target) => {
    for (const [file, from] of [...copied.map((each) => [each, join(folder, each)] as const), scheduler]) {
      await makeFolder(dirname(join(target, file)));
      await copyFile(from, join(target, file));
    }
    await writeAtomically(join(target, 'model_index.json'), [`${JSON.stringify(index, null, 2)}\n`]);
    for (const { path: file, checkpoint } of weights) {
      await makeFolder(dirname(join(target, file)));
      await writeWeights(join(target, file), checkpoint, dtype, signal, () => onProgress?.(++done, tensors.length));
    }
  });
  const parameters = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return { tensors: tensors.length, parameters, bytes: parameters * dtypeBytes[storedTypes[dtype]] };
}
