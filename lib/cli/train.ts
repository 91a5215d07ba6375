import { join } from 'node:path';

import { toDpmError } from '../base/errors.js';
import type { OptionFact } from '../base/option-facts.js';
import { integerFrom } from '../base/option-kinds.js';
import { headNames } from '../checkpoint/heads.js';
import { headModes } from '../checkpoint/trainable-head.js';
import { recomputePolicies } from '../engine/evaluation.js';
import { writeAtomically } from '../files/files.js';
import { DEFAULT_STEPS } from '../samplers/common-options.js';
import { openImagesOptionFacts } from '../training/data/options.js';
import type { TrainingMemory } from '../training/memory.js';
import { metricsName, readLosses, type StepMetrics } from '../training/metrics.js';
import {
  learnedPredictions,
  levelSamplings,
  trainingOptionFacts,
  type SavedCheckpoint,
  type TrainerOptions,
} from '../training/options.js';
import { averageSchedules, rateSchedules } from '../training/rates.js';
import { Trainer } from '../training/trainer.js';
import { flagOf, specOf, type Call, type Command, type OptionSpecs } from './command.js';
import { configOption, deviceOptions, deviceSettings } from './model-options.js';
import {
  counted,
  formatBytes,
  printJson,
  printLine,
  printNote,
  printTable,
  progressBar,
  type Progress,
} from './output.js';
import { lineChart } from './plot/chart.js';
import { lossChart } from './plot/loss.js';
import { drawSamples } from './train-samples.js';

/** Number of steps that the loss of the progress line is a mean of. */
const STEPS_OF_MEAN = 100;

const samplesFact = {
  kind: integerFrom(0),
  help: `samples drawn at every checkpoint in ${DEFAULT_STEPS} steps, by DDIM or the head's sampler, 0: none`,
  standard: 16,
  value: 'N',
} as const satisfies OptionFact;

/** The options of the library that are flags of their names. */
const trainingFlags: OptionSpecs = Object.fromEntries(
  Object.entries<OptionFact>(trainingOptionFacts).map(([name, fact]) => [flagOf(name), specOf(fact)]),
);

/** Reads the options of the library from flags of their names. */
function trainingOptions({ options }: Call): Omit<TrainerOptions, 'data'> {
  const facts = trainingOptionFacts;
  const integer = (name: keyof typeof facts): number | undefined => options.integer(flagOf(name), facts[name]);
  const number = (name: keyof typeof facts): number | undefined => options.number(flagOf(name));
  return {
    steps: integer('steps'),
    batch: integer('batch'),
    accumulate: integer('accumulate'),
    seed: options.seed('seed'),
    rate: number('rate'),
    rateSchedule: options.choice(flagOf('rateSchedule'), rateSchedules),
    warmup: integer('warmup'),
    averageDecay: number('averageDecay'),
    averageSchedule: options.choice(flagOf('averageSchedule'), averageSchedules),
    averageGamma: number('averageGamma'),
    averagePower: number('averagePower'),
    clip: number('clip'),
    adamBeta1: number('adamBeta1'),
    adamBeta2: number('adamBeta2'),
    adamEpsilon: number('adamEpsilon'),
    weightDecay: number('weightDecay'),
    cropMargin: integer('cropMargin'),
    flips: options.flag('flips'),
    dropout: number('dropout'),
    labelDropout: number('labelDropout'),
    captionDropout: number('captionDropout'),
    head: options.choice('head', headNames),
    headMode: options.choice(flagOf('headMode'), headModes),
    classifier: options.flag('classifier'),
    autoencoder: options.flag('autoencoder'),
    prediction: options.choice('prediction', learnedPredictions),
    levelSampling: options.choice(flagOf('levelSampling'), levelSamplings),
    snrGamma: number('snrGamma'),
    recompute: options.choice('recompute', recomputePolicies),
    checkpointEvery: integer('checkpointEvery'),
    checkpointsKept: integer('checkpointsKept'),
    tensorboard: options.flag('tensorboard'),
  };
}

function trainerOptions(call: Call): TrainerOptions {
  const { options, signal } = call;
  return {
    data: options.required('data'),
    captions: options.string('captions'),
    latents: options.string('latents'),
    network: options.string('network'),
    config: options.string('config'),
    schedule: options.string('schedule'),
    ...trainingOptions(call),
    ...deviceSettings(options),
    labels: options.flag('no-labels') ? false : undefined,
    resize: options.flag('resize'),
    skipBroken: options.flag('skip-broken'),
    signal,
  };
}

function memoryRows(memory: TrainingMemory): string[][] {
  const { images, parameters, packed, maps, checkpoints, total } = memory;
  return [
    ['images', formatBytes(images)],
    ['weights, gradients, moments, average', formatBytes(parameters)],
    ['packed weights', formatBytes(packed)],
    ['maps of a batch', formatBytes(maps)],
    ['beginning and checkpoints, at most', formatBytes(checkpoints)],
    ['in all', formatBytes(total)],
  ];
}

/** Tells what a run takes, without beginning it. */
async function plan(call: Call): Promise<void> {
  await using trainer = await Trainer.open({ ...trainerOptions(call), tensorboard: undefined });
  const { memory, parameters, images, broken, steps, device, sampleShape, classes } = trainer;
  const facts = { images, broken, sampleShape, classes, parameters, steps, device: device.name, memory };
  if (call.json) {
    printJson(facts);
    return;
  }
  const ofClasses = classes === 0 ? '' : `, ${classes} classes`;
  printLine(
    `${images} images of ${sampleShape.join(' x ')}${ofClasses}, ${parameters.toLocaleString('en')} parameters`,
  );
  printLine(`${steps} steps on ${device.name}; memory:`);
  printTable(memoryRows(memory).map((row) => ['', ...row]));
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** What is told while a run goes on: means of the last steps, and the speed. */
class Report {
  #steps: readonly StepMetrics[] = [];
  #last: StepMetrics | null = null;

  constructor(
    private readonly progress: Progress,
    private readonly steps: number,
  ) {}

  add(taken: readonly StepMetrics[]): void {
    this.#last = taken.at(-1) ?? this.#last;
    this.#steps = [...this.#steps, ...taken].slice(-STEPS_OF_MEAN);
    this.progress.update(this.#last?.step ?? 0, this.steps, this.text);
  }

  get last(): StepMetrics | null {
    return this.#last;
  }

  get loss(): number {
    return meanOf(this.#steps.map(({ loss }) => loss));
  }

  /** Share of the classes that were told; undefined where no classifier learns. */
  get accuracy(): number | undefined {
    const known = this.#steps.flatMap(({ accuracy }) => accuracy ?? []);
    return known.length === 0 ? undefined : meanOf(known);
  }

  /** The loss, and the accuracy if there is one. */
  get means(): string {
    const { loss, accuracy } = this;
    return `loss ${loss.toPrecision(4)}${accuracy === undefined ? '' : `, accuracy ${accuracy.toFixed(3)}`}`;
  }

  get text(): string {
    const speed = this.#last?.imagesPerSecond ?? 0;
    return `${this.means} | ${speed.toPrecision(3)} images/s`;
  }
}

async function writeLossChart(out: string): Promise<void> {
  const losses = await readLosses(join(out, metricsName));
  await writeAtomically(join(out, 'loss.svg'), [lineChart(lossChart([{ label: 'loss', losses }]))]);
}

/** Draws what belongs to a checkpoint. */
async function show(call: Call, trainer: Trainer, { step }: SavedCheckpoint): Promise<void> {
  const out = call.options.required('out');
  await writeLossChart(out);
  const count = call.options.integer('samples', samplesFact) ?? samplesFact.standard;
  if (count === 0 || trainer.isClassifier || call.signal.aborted) return;
  try {
    const images = await drawSamples(trainer, count, call.signal);
    if (images === null) return;
    await images.save(join(out, 'samples', `step-${String(step).padStart(7, '0')}.png`));
    if (call.options.flag('tensorboard')) await trainer.addImages('samples', images);
  } catch (error) {
    const { code, message } = toDpmError(error);
    // The run goes on: a picture that cannot be drawn loses nothing.
    if (code !== 'ERR_DPM_ABORTED') printNote(`no samples of step ${step}: ${message}`);
  }
}

function printBegin(trainer: Trainer, out: string): void {
  const { begun, steps, images, broken, sampleShape, parameters, device, damaged, truncatedCaptions } = trainer;
  for (const { path, error } of damaged) printNote(`passed over the damaged checkpoint ${path}: ${error.message}`);
  if (broken > 0) printNote(`left out ${broken} pictures that cannot be read`);
  if (truncatedCaptions > 0) printNote(`cut off ${truncatedCaptions} captions, which have too many tokens`);
  const from = begun === 0 ? 'from the beginning' : `goes on after step ${begun}`;
  printNote(
    `${images} images of ${sampleShape.join(' x ')}, ${parameters.toLocaleString('en')} parameters, ${steps} steps on ${device.name} -> ${out}: ${from}`,
  );
}

async function train(call: Call, out: string): Promise<void> {
  const { json, signal } = call;
  const progress = progressBar('train', json);
  const state: { report?: Report; trainer?: Trainer } = {};
  await using trainer = await Trainer.open({
    ...trainerOptions(call),
    out,
    onProgress: (done, total) => {
      progress.update(done, total, 'images');
    },
    // Not of each step: JavaScript would run between them.
    onSteps: (taken) => state.report?.add(taken),
    onCheckpoint: async (checkpoint) => {
      if (state.trainer === undefined) return;
      if (!json) printNote(`step ${checkpoint.step}: ${state.report?.text ?? ''} -> ${checkpoint.path}`);
      await show(call, state.trainer, checkpoint);
    },
  });
  const report = new Report(progress, trainer.steps);
  Object.assign(state, { report, trainer });
  if (!json) printBegin(trainer, out);
  try {
    await trainer.run();
  } catch (error) {
    if (signal.aborted && trainer.done > 0) printNote(`the same command goes on after step ${trainer.done}`);
    throw error;
  } finally {
    progress.stop();
  }
  const { done: step, steps, begun, broken, device } = trainer;
  const { imagesPerSecond, seconds, gradientNorm } = report.last ?? {};
  const loss = report.last === null ? undefined : report.loss;
  const { accuracy } = report;
  const facts = { out, step, steps, begun, loss, accuracy, gradientNorm, imagesPerSecond, seconds };
  const damaged = trainer.damaged.map(({ path, error: { code, message } }) => ({ path, code, message }));
  if (json) printJson({ ...facts, broken, damaged, device: device.name });
  else if (loss === undefined) printLine(`all ${steps} steps were done before -> ${out}`);
  else
    printLine(
      `${counted(step - begun, 'step')} in ${(seconds ?? 0).toFixed(1)} s on ${device.name}, ${report.means} -> ${out}`,
    );
}

export const trainCommand: Command = {
  name: 'train',
  summary: 'Trains a network on images, into a folder that is a model; the same command goes on with it.',
  arguments: [],
  options: {
    data: {
      value: 'PATH',
      help: 'images: a folder of PNG or JPEG files, .safetensors, .npz, IDX (MNIST) with its labels beside it, .bin of CIFAR, or .parquet with a column of PNG or JPEG files; the last two may be folders',
    },
    out: { value: 'RUN', help: 'folder of the run: the model, checkpoints, metrics.jsonl, loss.svg, samples' },
    captions: {
      value: 'FILE',
      help: 'texts of the images, for text to image: lines of JSON with text (one, or a list) and file_name, or index in a file of all; takes --latents',
    },
    latents: { value: 'RUN', help: 'folder of the autoencoder in whose latents captions are learned' },
    network: {
      value: 'NETWORK',
      help: 'config.json or the name of a preset, which begin with random weights, or a model to go on with; default a small network',
    },
    ...configOption,
    schedule: {
      value: 'FILE',
      help: "scheduler_config.json, or its folder, of a diffusers network; default that of the network's folder, else DDPM's",
    },
    ...trainingFlags,
    'no-labels': { help: 'leaves out the labels of the images' },
    resize: specOf(openImagesOptionFacts.resize),
    'skip-broken': specOf(openImagesOptionFacts.skipBroken),
    samples: specOf(samplesFact),
    plan: { help: 'tells the memory that the run takes, and ends' },
    ...deviceOptions,
  },
  async run(call) {
    const { options } = call;
    if (options.flag('plan')) {
      await plan(call);
      return;
    }
    const out = options.required('out');
    options.required('data');
    options.integer('samples', samplesFact);
    await train(call, out);
  },
};
