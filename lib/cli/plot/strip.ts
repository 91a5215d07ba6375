import { at } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { INITIAL_RECORD } from '../../base/random.js';
import { normals, sampleStreams } from '../../engine/normals.js';
import { ImageBatch } from '../../images/image-batch.js';
import { requirePngChannels } from '../../images/save.js';
import type { AnySampleOptions, DiffusionModel } from '../../model.js';
import type { StepProgram } from '../../program/program.js';
import { specOf, type Call, type Command } from '../command.js';
import { usageError } from '../usage-error.js';
import { modelOptions, withModel } from '../model-options.js';
import { progressBar } from '../output.js';
import {
  samplerOf,
  samplerOptions,
  samplerOptionSpecs,
  samplerSpec,
  stepsSpec,
  stepsUnlessGiven,
} from '../sampler-options.js';
import { outSpec } from '../default-target.js';
import { askedScale, scaleFor, scaleSpec } from '../picture-scale.js';
import { targetPath, writePlot } from './write.js';
import { runDefaults, runOptionFacts } from '../../run/options.js';

/** Samples and states of each, unless the command says otherwise. */
const [ROWS, COLUMNS] = [4, 9];

/**
 * Lists the records after which states are shown: from 0, the noise, to the last one, as evenly as integers allow.
 *
 * @throws {@link DpmError} `ERR_DPM_USAGE` if there are not so many states.
 */
export function stripRecords(count: number, columns: number): number[] {
  if (columns < 2 || columns > count + 1) {
    throw usageError(`--columns is ${columns}, it has to be from 2 to ${count + 1}, the states of ${count} records`);
  }
  return Array.from({ length: columns }, (_, column) => Math.round((column * count) / (columns - 1)));
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** The noise that the samples of a seed begin with, [count, C, H, W]. */
async function initialStates(
  model: DiffusionModel,
  { initialScale }: StepProgram,
  { count, seed = runDefaults.seed }: AnySampleOptions & { count: number },
): Promise<Float32Array> {
  const streams = sampleStreams(count, { seed, record: INITIAL_RECORD, draw: 0 });
  return await normals(model.device, model.sampleShape, streams, initialScale);
}

/** Compiles the sampler to a program that has records, after which there are states to show. */
function recordedProgram(model: DiffusionModel, options: AnySampleOptions): StepProgram {
  const program = model.program(options);
  if (program.kind === 'step') return program;
  throw usageError(
    `sampler ${options.sampler} decides its steps while it runs and keeps no states on the way; plot strip needs another sampler or other options of it`,
  );
}

/**
 * Draws a PNG with one row per sample, its states along the trajectory from noise to data in `columns` columns.
 *
 * @throws {@link DpmError} `ERR_DPM_USAGE` if there are not so many states, the sampler has no records or the images have no
 * colours of a PNG.
 */
export async function denoisingStrip(
  model: DiffusionModel,
  options: AnySampleOptions & { count: number; columns: number; scale?: number | undefined; labels?: boolean },
): Promise<Uint8Array> {
  const { columns, scale, labels = false, ...sampling } = options;
  const { count } = sampling;
  const [channels, height, width] = model.sampleShape;
  const shape = [count, channels, height, width] as const;
  requirePngChannels([...shape]);
  if (!Number.isSafeInteger(count) || count < 1) throw usageError(`count is ${count}, it has to be a positive integer`);
  const program = recordedProgram(model, sampling);
  const records = stripRecords(program.records.length, columns);
  const init = await initialStates(model, program, sampling);
  const { images, snapshots } = await model.sample({
    ...sampling,
    init,
    snapshotEvery: records.reduce(greatestCommonDivisor),
  });
  const states = new Map(snapshots.map((each) => [each.record, each.images]));
  states.set(0, new ImageBatch(init, shape, model.range)).set(at(records, columns - 1), images);
  const size = channels * height * width;
  const levels = new Uint8Array(count * columns * size);
  records.forEach((record, column) => {
    const state = states.get(record)?.toUint8();
    if (state === undefined) {
      throw new DpmError('ERR_DPM_USAGE', `sampler ${sampling.sampler} has no state after record ${record}`);
    }
    for (let row = 0; row < count; ++row) {
      levels.set(state.subarray(row * size, (row + 1) * size), (row * columns + column) * size);
    }
  });
  const captions = labels ? Array.from({ length: count }, () => records).flat() : undefined;
  return new ImageBatch(levels, [count * columns, channels, height, width]).toPng({ columns, scale, labels: captions });
}

async function plotStrip(call: Call, path: string, model: DiffusionModel): Promise<void> {
  const { options, json, signal } = call;
  const sampler = samplerOf(options, model.schedule);
  const progress = progressBar(sampler, json);
  try {
    const png = await denoisingStrip(model, {
      ...stepsUnlessGiven(sampler, options),
      ...(await samplerOptions(options, model.schedule)),
      sampler,
      count: options.integer('count') ?? ROWS,
      columns: options.integer('columns') ?? COLUMNS,
      seed: options.seed('seed'),
      classLabels: options.integer('class'),
      batch: options.integer('batch'),
      scale: scaleFor(options, path, [1, ...model.sampleShape]),
      labels: options.flag('labels'),
      signal,
      onProgress: progress.update,
    });
    progress.stop();
    await writePlot(call, path, png);
  } finally {
    progress.stop();
  }
}

export const plotStripCommand: Command = {
  name: 'plot strip',
  summary: 'States of samples along the trajectory, from noise to data, one row a sample.',
  arguments: ['MODEL'],
  options: {
    out: outSpec('receives the picture, or - for the standard output', 'strip', '.png', 'FILE.png'),
    scale: scaleSpec,
    labels: { help: 'writes below each state how many records are behind it' },
    sampler: samplerSpec,
    count: specOf({ ...runOptionFacts.count, standard: ROWS }, 'number of samples, the rows'),
    columns: { value: 'C', help: `number of states of each; default ${COLUMNS}` },
    seed: specOf(runOptionFacts.seed),
    class: specOf(runOptionFacts.classLabels),
    batch: specOf(runOptionFacts.batch),
    ...samplerOptionSpecs,
    ...modelOptions,
    steps: stepsSpec(),
  },
  async run(call) {
    const path = await targetPath(call, 'strip', '.png');
    askedScale(call.options, path);
    await withModel(call, (model) => plotStrip(call, path, model));
  },
};
