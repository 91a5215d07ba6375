import { DpmError } from '../errors.js';
import { estimateGamma } from '../variance/estimate.js';
import { writeGammaTable } from '../variance/gamma.js';
import { usageError, type Command } from './command.js';
import { readImages } from './images.js';
import { modelOptions, withModel } from './model-options.js';
import { printJson, printLine, progressBar } from './output.js';

export const gammaCommand: Command = {
  name: 'gamma',
  summary: 'Estimates the table m_n = E||eps||^2 / d of the analytic samplers from images.',
  arguments: ['MODEL'],
  options: {
    data: { value: 'FILE', help: 'safetensors with images [N,C,H,W], uint8 or float32 in [-1, 1]' },
    samples: { value: 'M', help: 'images each entry is estimated from; 10 to 100 are enough' },
    seed: { value: 'INT', help: 'seed of the choice of images and of the noise; default 0' },
    timesteps: { value: 'LIST', help: 'times n to estimate, separated by commas; the others are interpolated' },
    batch: { value: 'N', help: 'most images evaluated at once; default 16' },
    out: { value: 'FILE', help: 'receives the table as JSON' },
    ...modelOptions,
  },
  async run(call) {
    const { options, json, signal } = call;
    const out = options.required('out');
    const samples = options.integer('samples');
    if (samples === undefined) throw usageError('--samples is missing');
    const path = options.required('data');
    const { shape, data } = await readImages(path);
    const progress = progressBar('gamma', json);
    await withModel(call, async (model) => {
      if (shape.slice(1).join() !== model.sampleShape.join()) {
        const expected = model.sampleShape.join(', ');
        throw new DpmError(
          'ERR_DPM_TENSOR_SHAPE',
          `${path}: images is [${shape.join(', ')}], it has to be [N, ${expected}]`,
        );
      }
      try {
        const table = await estimateGamma(model, data, {
          samples,
          seed: options.seed('seed'),
          timesteps: options.numbers('timesteps'),
          batch: options.integer('batch'),
          signal,
          onProgress: (done, total) => {
            progress.update(done, total);
          },
        });
        progress.stop();
        await writeGammaTable(out, table);
        if (json) printJson({ out, samples, steps: table.numTrainTimesteps });
        else printLine(`m_n for n = 1..${table.numTrainTimesteps} from ${samples} images each -> ${out}`);
      } finally {
        progress.stop();
      }
    });
  },
};
