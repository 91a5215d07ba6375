import { untilAborted } from '../base/abort.js';
import { convertModel, weightTypeFact, weightTypes } from '../checkpoint/convert.js';
import { readModelFolder } from '../checkpoint/read-model.js';
import { specOf, type Command } from './command.js';
import { readOptions, readOptionSpecs } from './model-options.js';
import { formatBytes, printJson, printLine, progressBar } from './output.js';
import { checkTarget } from './target.js';

export const convertCommand: Command = {
  name: 'convert',
  summary: 'Writes any readable checkpoint as a model folder with safetensors.',
  arguments: ['CHECKPOINT'],
  options: {
    to: { value: 'FOLDER', help: 'receives the model; must not exist' },
    dtype: specOf(weightTypeFact),
    ...readOptionSpecs,
  },
  async run({ positionals, options, json, signal }) {
    const to = options.required('to');
    const dtype = options.choice('dtype', weightTypes);
    await checkTarget(to, { flag: '--to', folder: true });
    const model = await untilAborted(signal, () => readModelFolder(positionals[0] ?? '', readOptions(options)));
    const progress = progressBar('convert', json);
    try {
      const converted = await convertModel(model, to, {
        dtype,
        signal,
        onProgress: progress.update,
      });
      progress.stop();
      if (json) printJson({ to, family: model.family, evidence: model.evidence, ...converted });
      else {
        const size = `${converted.parameters.toLocaleString('en')} parameters, ${formatBytes(converted.bytes)}`;
        printLine(`${model.family} (${model.evidence})`);
        printLine(`${converted.tensors} tensors, ${size} -> ${to}`);
      }
    } finally {
      progress.stop();
    }
  },
};
