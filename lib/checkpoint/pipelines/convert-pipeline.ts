import { copyFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { elementCount } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { isThere, makeFolder } from '../../files/files.js';
import { dtypeBytes } from '../../files/safetensors.js';
import type { Checkpoint } from '../checkpoint.js';
import {
  storedTypes,
  weightTypeFact,
  writeWeights,
  writeWhole,
  type ConvertOptions,
  type Converted,
} from '../convert.js';
import { readHeadsConfig } from '../heads.js';
import { modelPath } from '../model-path.js';
import { findWeights, openSingleFile, openWeights } from '../weight-files.js';
import { readAutoencoder } from './autoencoder.js';
import { readConditional } from './conditional.js';
import { readTextEncoder } from './text-encoder.js';

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

const tokenizerFiles = [
  'vocab.json',
  'merges.txt',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
];

/** Files of the pipeline and of its parts that are copied where they are there. */
const files = [
  'model_index.json',
  'generation_config.json',
  'gamma.json',
  ...networks.map(({ part }) => join(part, 'config.json')),
  join('unet', 'heads', 'config.json'),
  join('scheduler', 'scheduler_config.json'),
  ...['tokenizer', 'tokenizer_2'].flatMap((part) => tokenizerFiles.map((name) => join(part, name))),
];

/** A file of weights to write. */
interface WeightsToWrite {
  readonly path: string;
  readonly checkpoint: Checkpoint;
}

/** Tables of whole numbers that older libraries kept beside weights, and nobody needs. */
function withoutPositions({ files: from, tensors }: Checkpoint): Checkpoint {
  return { files: from, tensors: new Map([...tensors].filter(([name]) => !name.endsWith('embeddings.position_ids'))) };
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
  const weights = await weightsOf(folder);
  const missing = networks.slice(0, 3).find(({ part }) => !weights.some((each) => dirname(each.path) === part));
  if (missing !== undefined) {
    throw new DpmError(
      'ERR_DPM_FILE',
      `${folder} has no ${join(missing.part, 'config.json')}: it is no whole pipeline`,
    );
  }
  const copied = await copiedFiles(folder);
  const tensors = weights.flatMap(({ checkpoint }) => [...checkpoint.tensors.values()]);
  let done = 0;
  await writeWhole(to, async (target) => {
    for (const file of copied) {
      await makeFolder(dirname(join(target, file)));
      await copyFile(join(folder, file), join(target, file));
    }
    for (const { path: file, checkpoint } of weights) {
      await makeFolder(dirname(join(target, file)));
      await writeWeights(join(target, file), checkpoint, dtype, signal, () => onProgress?.(++done, tensors.length));
    }
  });
  const parameters = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return { tensors: tensors.length, parameters, bytes: parameters * dtypeBytes[storedTypes[dtype]] };
}
