import { join } from 'node:path';

import { untilAborted } from '../base/abort.js';
import {
  convertModel,
  weightTypeFact,
  weightTypes,
  type Converted,
  type ConvertOptions,
} from '../checkpoint/convert.js';
import { modelPath } from '../checkpoint/model-path.js';
import { readModelFolder } from '../checkpoint/read-model.js';
import { isFolder } from '../files/files.js';
import { convertPipeline } from '../latents/convert-pipeline.js';
import { isPipeline } from '../latents/recognise-pipeline.js';
import { specOf, type Call, type Command } from './command.js';
import { readOptions, readOptionSpecs } from './model-options.js';
import { formatBytes, printJson, printLine, progressBar } from './output.js';
import { refuseOptionsOfPixels } from './pipeline-options.js';
import { checkTarget } from './target.js';

/** What converts a model, and what that is. */
type Conversion = (to: string, options: ConvertOptions) => Promise<Converted & { family: string; evidence: string }>;

/** Finds what converts a model: a text-to-image pipeline in its folder, or a model of pixels. */
async function conversionOf({ positionals, options, signal }: Call): Promise<Conversion> {
  const path = positionals[0] ?? '';
  const folder = await modelPath(path);
  if ((await isFolder(folder)) && (await isPipeline(folder))) {
    refuseOptionsOfPixels({ positionals, options }, Object.keys(readOptionSpecs));
    const facts = { family: 'text-to-image pipeline', evidence: join(folder, 'model_index.json') };
    return async (to, how) => ({ ...(await convertPipeline(folder, to, how)), ...facts });
  }
  const model = await untilAborted(signal, () => readModelFolder(path, readOptions(options)));
  const { family, evidence } = model;
  return async (to, how) => ({ ...(await convertModel(model, to, how)), family, evidence });
}

export const convertCommand: Command = {
  name: 'convert',
  summary: 'Writes any readable checkpoint, or the folder of a pipeline, as a folder with safetensors.',
  arguments: ['CHECKPOINT'],
  options: {
    to: { value: 'FOLDER', help: 'receives the model; must not exist' },
    dtype: specOf(weightTypeFact),
    ...readOptionSpecs,
  },
  async run(call) {
    const { options, json, signal } = call;
    const to = options.required('to');
    const dtype = options.choice('dtype', weightTypes);
    await checkTarget(to, { flag: '--to', folder: true });
    const convert = await conversionOf(call);
    const progress = progressBar('convert', json);
    try {
      const { family, evidence, ...converted } = await convert(to, { dtype, signal, onProgress: progress.update });
      progress.stop();
      if (json) printJson({ to, family, evidence, ...converted });
      else {
        const size = `${converted.parameters.toLocaleString('en')} parameters, ${formatBytes(converted.bytes)}`;
        printLine(`${family} (${evidence})`);
        printLine(`${converted.tensors} tensors, ${size} -> ${to}`);
      }
    } finally {
      progress.stop();
    }
  },
};
