import { join } from 'node:path';

import { modelPath } from '../checkpoint/model-path.js';
import { isSingleFile } from '../checkpoint/pipelines/single-file/unet-file.js';
import { readObject } from '../checkpoint/read-model.js';
import { openWeights } from '../checkpoint/weight-files.js';
import { isThere } from '../files/files.js';

/** Names that tensors of whole models begin with: those of the U-Net, and of what is beside it. */
const ofUNet = /^model\.diffusion_model\./;
const ofOthers = /^(cond_stage_model|conditioner|first_stage_model)\./;

async function isPipelineFile(path: string): Promise<boolean> {
  // What is wrong with a file is told by those that read it.
  const opened = await openWeights(path).catch(() => null);
  const names = [...(opened?.checkpoint.tensors.keys() ?? [])];
  return [ofUNet, ofOthers].every((pattern) => names.some((name) => pattern.test(name)));
}

/** Tells whether a folder has `model_index.json`, which those of pixel models may have, too. */
async function isPipelineFolder(path: string): Promise<boolean> {
  if (!(await isThere(join(path, 'model_index.json')))) return false;
  const unet = join(path, 'unet', 'config.json');
  if (await isThere(unet)) return (await readObject(unet))._class_name === 'UNet2DConditionModel';
  return !(await isThere(join(path, 'config.json')));
}

/**
 * Tells whether a model is a pipeline of text to image, for {@link TextToImage.load}: a folder, a file with a U-Net and what is
 * beside it, or a bundled one.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` if there is no such model, or naming the configuration that cannot be read.
 */
export async function isPipeline(given: string): Promise<boolean> {
  const path = await modelPath(given);
  return (await isSingleFile(path)) ? isPipelineFile(path) : isPipelineFolder(path);
}
