import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';

import { DpmError } from '../base/errors.js';
import { readSafetensorsHeader } from '../files/safetensors.js';
import { readFloats } from '../files/tensor-data.js';
import type { DiffusionModel } from '../model.js';
import type { RunOptions } from '../running/run-options.js';
import type { Call, Command } from './command.js';
import { requireWritable, snapshotPath, writeImages } from './images.js';
import { modelOptions, withModel } from './model-options.js';
import { printJson, printLine, progressBar } from './output.js';
import { samplerOf, samplerOptions, samplerOptionSpecs, samplerSpec } from './sampler-options.js';
import { describeRun, schedulerOf } from './scheduler-summary.js';

async function readTensor(
  path: string | undefined,
  name: string,
  shape: readonly number[],
): Promise<Float32Array | undefined> {
  if (path === undefined) return undefined;
  const tensor = await readFloats(await readSafetensorsHeader(path), name, ['F32']);
  if (tensor.shape.slice(-shape.length).join() !== shape.join()) {
    const expected = [...(name === 'noise' ? ['R'] : []), ...shape].join(', ');
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `${path}: ${name} is [${tensor.shape.join(', ')}], it has to be [${expected}]`,
    );
  }
  return tensor.data;
}

async function runOptions({ options, signal }: Call, model: DiffusionModel): Promise<RunOptions & { count: number }> {
  const count = options.integer('count') ?? 1;
  const shape = [count, ...model.sampleShape];
  const unconditional = options.string('unconditional-label');
  return {
    count,
    seed: options.seed('seed'),
    classLabels: options.integer('class'),
    guidance: options.number('guidance'),
    unconditionalLabel: unconditional === 'none' ? null : options.integer('unconditional-label'),
    init: await readTensor(options.string('init'), 'x', shape),
    noise: await readTensor(options.string('noise'), 'noise', shape),
    batch: options.integer('batch'),
    format: options.required('out').endsWith('.safetensors') ? 'float32' : 'uint8',
    snapshotEvery: options.integer('save-every'),
    signal,
  };
}

async function sample(call: Call, model: DiffusionModel): Promise<void> {
  const { options, json } = call;
  const out = options.required('out');
  const sampler = samplerOf(options, model.schedule);
  const run = await runOptions(call, model);
  requireWritable(out, [run.count, ...model.sampleShape]);
  const own = await samplerOptions(options, model.schedule);
  const scheduler = sampler === 'scheduler' ? schedulerOf(model.schedule, own.steps ?? 0) : null;
  const progress = progressBar(sampler, json);
  const started = performance.now();
  try {
    const result = await model.sample({
      sampler,
      ...own,
      ...run,
      onProgress: (done, total) => {
        progress.update(done, total);
      },
    });
    const seconds = (performance.now() - started) / 1000;
    progress.stop();
    await mkdir(dirname(out), { recursive: true });
    await writeImages(out, result.images);
    for (const { record, images } of result.snapshots) await writeImages(snapshotPath(out, record), images);
    if (json)
      printJson({
        out,
        count: run.count,
        sampler,
        device: model.device.name,
        seconds,
        ...(scheduler && { scheduler }),
      });
    else printLine(`${run.count} samples in ${seconds.toFixed(1)} s on ${model.device.name} -> ${out}`);
    if (!json && scheduler !== null && !('refused' in scheduler)) printLine(describeRun(scheduler));
  } finally {
    progress.stop();
  }
}

export const sampleCommand: Command = {
  name: 'sample',
  summary: 'Draws samples and writes them as a PNG grid, a folder of PNG files or a safetensors file.',
  arguments: ['MODEL'],
  options: {
    sampler: samplerSpec,
    count: { value: 'N', help: 'number of samples; default 1' },
    seed: { value: 'INT', help: 'seed of the random stream; default 0' },
    out: { value: 'FILE', help: 'grid.png, samples.safetensors or a folder' },
    class: { value: 'LABEL', help: 'class of all samples, for a class-conditional network' },
    guidance: { value: 'W', help: 'weight of classifier-free guidance; default 1, the conditional prediction alone' },
    'unconditional-label': {
      value: 'LABEL',
      help: 'class that stands for no class, or none; default the last one (EDM: none)',
    },
    init: { value: 'FILE', help: 'safetensors with the initial states x [N,C,H,W]' },
    noise: { value: 'FILE', help: 'safetensors with the noise of each noisy record, noise [R,N,C,H,W]' },
    batch: { value: 'N', help: 'most samples evaluated at once; default 16' },
    'save-every': { value: 'K', help: 'also write the state after every K-th record' },
    ...samplerOptionSpecs,
    ...modelOptions,
  },
  async run(call) {
    call.options.required('out');
    await withModel(call, (model) => sample(call, model));
  },
};
