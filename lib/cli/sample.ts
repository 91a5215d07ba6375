import { extname, join } from 'node:path';

import { DpmError } from '../base/errors.js';
import { readSafetensorsHeader } from '../files/safetensors.js';
import { readFloats } from '../files/tensor-data.js';
import type { ImageBatch } from '../images/image-batch.js';
import type { PictureOptions } from '../images/picture-options.js';
import { Classifier, classifierGuideFacts } from '../guidance/classifier.js';
import { imageFileKind, requirePngChannels } from '../images/save.js';
import type { AnySampleOptions, DiffusionModel } from '../model.js';
import { guideForms } from '../guidance/guided-program.js';
import type { Guide } from '../guidance/guide.js';
import type { RunResult } from '../run/network-run.js';
import { runOptionFacts, type RunOptions } from '../run/options.js';
import { samplers, type SamplerName } from '../samplers/index.js';
import type { SamplerFacts } from '../samplers/sampler.js';
import { grouped, specOf, type Call, type Command } from './command.js';
import { usageError } from './usage-error.js';
import { modelName, outOf, outSpec, writeOut } from './default-target.js';
import { modelOptions, withModel } from './model-options.js';
import { counted, printJson, printLine, printNote, progressBar } from './output.js';
import {
  samplerOf,
  samplerOptions,
  samplerOptionSpecs,
  samplerSpec,
  stepsSpec,
  stepsUnlessGiven,
} from './sampler-options.js';
import { askedScale, scaleFor, scaleSpec } from './picture-scale.js';
import { describeRun, schedulerOf } from './scheduler-summary.js';
import { checkTarget, standardOutput, writeTarget } from './target.js';

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

async function runOptions(
  { options, signal }: Call,
  out: string,
  model: DiffusionModel,
): Promise<RunOptions & { count: number }> {
  const count = options.integer('count') ?? runOptionFacts.count.standard;
  const shape = [count, ...model.sampleShape];
  const unconditional = options.string('unconditional-label');
  return {
    count,
    seed: options.seed('seed'),
    first: options.integer('first'),
    classLabels: options.integer('class'),
    guidance: options.number('guidance'),
    unconditionalLabel: unconditional === 'none' ? null : options.integer('unconditional-label'),
    init: await readTensor(options.string('init'), 'x', shape),
    noise: await readTensor(options.string('noise'), 'noise', shape),
    batch: options.integer('batch'),
    format: imageFileKind(out) === 'safetensors' ? 'float32' : 'uint8',
    snapshotEvery: options.integer('save-every'),
    guideForm: options.choice('classifier-mode', guideForms),
    signal,
  };
}

/** Draws with the requested classifier, if any. */
async function withClassifier<T>(
  { options }: Call,
  model: DiffusionModel,
  work: (guides: readonly Guide[] | undefined) => Promise<T>,
): Promise<T> {
  const path = options.string('classifier');
  if (path === undefined) {
    const orphan = ['classifier-class', 'classifier-scale', 'classifier-mode'].find((name) => options.has(name));
    if (orphan !== undefined) throw usageError(`--${orphan} is for --classifier`);
    return work(undefined);
  }
  const labels = options.integer('classifier-class') ?? options.integer('class');
  if (labels === undefined) throw usageError('--classifier-class is missing');
  await using classifier = await Classifier.load(path, { device: model.device });
  return await work([classifier.guide({ labels, scale: options.number('classifier-scale') })]);
}

/** A path that holds a number before its ending, `grid-record-0004.png`; in a folder a file of its own. */
function snapshotPath(path: string, record: number): string {
  const extension = extname(path);
  const suffix = `record-${String(record).padStart(4, '0')}`;
  return extension === '' ? join(path, `${suffix}.png`) : `${path.slice(0, -extension.length)}-${suffix}${extension}`;
}

/** The longest that {@link snapshotPath} adds to a name. */
const snapshotSuffix = '-record-00000000';

async function checkOut(path: string, { options, json }: Call): Promise<void> {
  await checkTarget(path, {
    flag: '--out',
    endings: ['.png', '.safetensors'],
    folder: true,
    toStandardOutput: true,
    json,
    suffix: options.has('save-every') ? snapshotSuffix : '',
  });
  askedScale(options, path);
  if (path === standardOutput && options.has('save-every')) {
    throw usageError('--save-every writes several files: --out has to be a path');
  }
}

/** Labels of drawn samples: their class, or their numbers. */
function pictureLabels({ options }: Call, count: number): number[] | undefined {
  const label = options.integer('class');
  return options.flag('labels') ? Array.from({ length: count }, (_, sample) => label ?? sample) : undefined;
}

async function write(path: string, images: ImageBatch, picture: PictureOptions): Promise<void> {
  if (path === standardOutput) await writeTarget(path, images.toPng(picture));
  else await images.save(path, picture);
}

interface Drawn {
  result: RunResult;
  seconds: number;
}

async function draw(call: Call, model: DiffusionModel, options: AnySampleOptions): Promise<Drawn> {
  const progress = progressBar(options.sampler, call.json);
  const started = performance.now();
  try {
    const result = await model.sample({
      ...options,
      onProgress: progress.update,
    });
    return { result, seconds: (performance.now() - started) / 1000 };
  } finally {
    progress.stop();
  }
}

function noteNoise(sampler: SamplerName, steps: number | undefined): void {
  const { fewestSteps }: SamplerFacts = samplers[sampler].facts;
  if (steps === undefined || fewestSteps === undefined || steps >= fewestSteps) return;
  printNote(`${sampler} leaves noise in the pictures of fewer than ${fewestSteps} steps, these have ${steps}`);
}

const nameOf = ({ positionals: [model = ''] }: Call): string => modelName(model);

async function sample(call: Call, planned: string, model: DiffusionModel): Promise<void> {
  const { options, json } = call;
  const sampler = samplerOf(options, model.schedule);
  const run = await runOptions(call, planned, model);
  if (run.format === 'uint8') requirePngChannels([run.count, ...model.sampleShape]);
  const own = { ...stepsUnlessGiven(sampler, options), ...(await samplerOptions(options, model.schedule)) };
  const scheduler = sampler === 'scheduler' ? schedulerOf(model.schedule, own.steps ?? 0) : null;
  const scale = scaleFor(options, planned, [run.count, ...model.sampleShape]);
  noteNoise(sampler, own.steps);
  const { result, seconds } = await withClassifier(call, model, (guides) =>
    draw(call, model, { sampler, ...own, ...run, guides }),
  );
  const picture = { scale, labels: pictureLabels(call, run.count) };
  const out = await writeOut(options, nameOf(call), '.png', (path) => write(path, result.images, picture));
  for (const { record, images } of result.snapshots) await write(snapshotPath(out, record), images, picture);
  const { name: device } = model.device;
  if (json) {
    printJson({ out, count: run.count, sampler, device, seconds, ...(scheduler && { scheduler }) });
    return;
  }
  const say = out === standardOutput ? printNote : printLine;
  say(`${counted(run.count, 'sample')} in ${seconds.toFixed(1)} s on ${device} -> ${out}`);
  if (scheduler !== null && !('refused' in scheduler)) say(describeRun(scheduler));
}

export const sampleCommand: Command = {
  name: 'sample',
  summary: 'Draws samples and writes them as a PNG grid, a folder of PNG files or a safetensors file.',
  arguments: ['MODEL'],
  options: {
    ...grouped('What is drawn', {
      sampler: samplerSpec,
      count: specOf(runOptionFacts.count),
      seed: specOf(runOptionFacts.seed),
      first: specOf(runOptionFacts.first),
      class: specOf(runOptionFacts.classLabels),
      init: specOf(runOptionFacts.init, 'safetensors with the initial states x [N,C,H,W]'),
      noise: specOf(runOptionFacts.noise, 'safetensors with the noise of each noisy record, noise [R,N,C,H,W]'),
    }),
    ...grouped('Output', {
      out: outSpec('grid.png, samples.safetensors, a folder, or - for a PNG on the standard output', 'MODEL', '.png'),
      scale: scaleSpec,
      labels: { help: 'writes below each sample of a PNG its class, or its number' },
      'save-every': specOf(runOptionFacts.snapshotEvery, 'also writes the state after every K-th record, 0: never'),
    }),
    ...grouped('Guidance', {
      guidance: specOf(runOptionFacts.guidance),
      'unconditional-label': specOf(runOptionFacts.unconditionalLabel),
      classifier: { value: 'PATH', help: 'classifier whose gradient guides the samples, as mnist-classifier' },
      'classifier-class': specOf({ ...classifierGuideFacts.labels, otherwise: 'that of --class' }),
      'classifier-scale': specOf(classifierGuideFacts.scale),
      'classifier-mode': specOf(runOptionFacts.guideForm),
    }),
    ...samplerOptionSpecs,
    steps: stepsSpec(),
    ...modelOptions,
    ...grouped('Device', { batch: specOf(runOptionFacts.batch) }),
  },
  async run(call) {
    const planned = await outOf(call.options, nameOf(call), '.png');
    await checkOut(planned, call);
    await withModel(call, (model) => sample(call, planned, model));
  },
};
