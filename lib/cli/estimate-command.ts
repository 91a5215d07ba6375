import { dirname } from 'node:path';

import { dataEstimateOptionFacts as facts, type DataEstimateOptions } from '../estimation/data-estimate.js';
import { makeFolder } from '../files/files.js';
import type { DiffusionModel } from '../model.js';
import { specOf, type Call, type Command, type OptionSpecs } from './command.js';
import { usageError } from './usage-error.js';
import { outOf, outSpec, writeOut } from './default-target.js';
import { dataImagesHelp, readDataImages } from './data-images.js';
import { modelOptions, withModel } from './model-options.js';
import { printJson, printLine, progressBar } from './output.js';
import { checkTarget } from './target.js';

/** Properties of a command that estimates a table from images. */
export interface EstimateCommand<Table> {
  name: string;
  summary: string;
  /** Description of the images. */
  images: string;
  /** Description of a sufficient number of images. */
  enough: string;
  /** The table's columns, e.g. `m_n`. */
  columns: string;
  estimate: (call: Call, options: DataEstimateOptions & { samples: number }) => Promise<Table>;
  write: (path: string, table: Table) => Promise<void>;
  /** Options beside those of all such commands. */
  options?: OptionSpecs;
}

/** Makes an estimate of a model of pixels one of a command. */
export function ofModel<Table>(
  estimate: (model: DiffusionModel, images: Float32Array, options: DataEstimateOptions) => Promise<Table>,
): EstimateCommand<Table>['estimate'] {
  return (call, options) =>
    withModel(call, async (model) => {
      const { images } = await readDataImages(call.options.required('data'), model, { signal: call.signal });
      return estimate(model, images, options);
    });
}

/** A command that estimates a table for n = 1..N from images and writes it as JSON. */
export function estimateCommand<Table extends { numTrainTimesteps: number }>(command: EstimateCommand<Table>): Command {
  const { name, summary, images, enough, columns, estimate, write, options: others = {} } = command;
  return {
    name,
    summary,
    arguments: ['MODEL'],
    options: {
      data: { value: 'PATH', help: `${dataImagesHelp}; ${images}` },
      samples: specOf(facts.samples, `${facts.samples.help}; ${enough}`),
      seed: specOf(facts.seed),
      timesteps: specOf(facts.timesteps, 'times n to estimate, separated by commas; the others are interpolated'),
      batch: specOf(facts.batch),
      out: outSpec('receives the table as JSON', name, '.json'),
      ...others,
      ...modelOptions,
    },
    async run(call) {
      const { options, json, signal } = call;
      await checkTarget(await outOf(options, name, '.json'), { flag: '--out' });
      const samples = options.integer('samples');
      if (samples === undefined) throw usageError('--samples is missing');
      options.required('data');
      const progress = progressBar(name, json);
      try {
        const table = await estimate(call, {
          samples,
          seed: options.seed('seed'),
          timesteps: options.numbers('timesteps'),
          batch: options.integer('batch'),
          signal,
          onProgress: progress.update,
        });
        progress.stop();
        const out = await writeOut(options, name, '.json', async (path) => {
          await makeFolder(dirname(path));
          await write(path, table);
        });
        if (json) printJson({ out, samples, steps: table.numTrainTimesteps });
        else printLine(`${columns} for n = 1..${table.numTrainTimesteps} from ${samples} images each -> ${out}`);
      } finally {
        progress.stop();
      }
    },
  };
}
