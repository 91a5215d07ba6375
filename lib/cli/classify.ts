import { extname } from 'node:path';

import { throwIfAborted } from '../base/abort.js';
import { at, elementCount } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { normals, sampleStreams } from '../engine/normals.js';
import { estimateOptionFacts } from '../estimation/options.js';
import { readSafetensorsHeader } from '../files/safetensors.js';
import { readLabels } from '../files/tensor-data.js';
import { Classifier, logSoftmax } from '../guidance/classifier.js';
import { noised, noiseLevel } from '../schedule/noise-level.js';
import { specOf, type Call, type Command } from './command.js';
import { usageError } from './usage-error.js';
import { dataImagesHelp, readDataImages } from './data-images.js';
import { configOption, deviceOptions, deviceSettings } from './model-options.js';
import { printJson, printLine, printTable, progressBar } from './output.js';
import { runOptionFacts } from '../run/options.js';

/** Number of classes that are shown of an image. */
const shown = 5;

/** Network time of images without noise. */
const CLEAN = 0;

/** Facts about `--batch`, whose default is this command's own. */
const batchFact = { ...estimateOptionFacts.batch, standard: 64 } as const;

/** A class and its probability. */
interface Guess {
  label: number;
  probability: number;
}

/** Computes logarithms of the classes' probabilities, for each image. */
async function classify(
  classifier: Classifier,
  images: Float32Array,
  { time, batch, signal }: { time: number; batch: number; signal: AbortSignal | undefined },
  onProgress: (done: number) => void,
): Promise<Float64Array[]> {
  const each = elementCount(classifier.sampleShape);
  const count = images.length / each;
  const found: Float64Array[] = [];
  for (let first = 0; first < count; first += batch) {
    throwIfAborted(signal);
    const logits = await classifier.logits(images.subarray(first * each, (first + batch) * each), time);
    for (let k = 0; k < logits.length; k += classifier.classes) {
      found.push(logSoftmax(logits.subarray(k, k + classifier.classes)));
    }
    onProgress(found.length);
  }
  return found;
}

/** The most probable classes, the first of equal ones first. */
function guesses(logarithms: Float64Array): Guess[] {
  return [...logarithms]
    .map((logarithm, label) => ({ label, probability: Math.exp(logarithm) }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, shown);
}

/** Reads the labels of the images, if their file has some. */
async function labelsOf(path: string, count: number, classes: number): Promise<Int32Array | null> {
  if (extname(path).toLowerCase() !== '.safetensors') return null;
  const header = await readSafetensorsHeader(path);
  if (!header.tensors.has('labels')) return null;
  const labels = await readLabels(header, 'labels', classes);
  if (labels.length === count) return labels;
  throw new DpmError('ERR_DPM_TENSOR_SHAPE', `${path}: there are ${labels.length} labels for ${count} images`);
}

/** Refuses labels that a classifier does not know. */
function checkedLabels(path: string, labels: Int32Array, classes: number): Int32Array {
  const unknown = labels.find((label) => label >= classes);
  if (unknown === undefined) return labels;
  throw new DpmError('ERR_DPM_ARGUMENT', `${path}: the label ${unknown}, the classifier has ${classes} classes`);
}

/** Scores of predicted labels. */
interface Scores {
  accuracy: number;
  crossEntropy: number;
}

/** Computes the share of images whose label is the most probable class, and the mean of -ln p(label). */
function scores(labels: Int32Array, found: readonly Float64Array[]): Scores {
  const mean = (of: (label: number, n: number) => number): number =>
    [...labels].reduce((sum, label, n) => sum + of(label, n), 0) / labels.length;
  return {
    accuracy: mean((label, n) => Number(at(guesses(at(found, n)), 0).label === label)),
    crossEntropy: mean((label, n) => -at(at(found, n), label)),
  };
}

/** Lists times n from the schedule's first to its last, as many as `levels`, evenly. */
function noisyTimes({ schedule }: Classifier, levels: number): number[] {
  const last = schedule.discrete ? schedule.steps : schedule.greatestTime;
  const times = Array.from({ length: levels }, (_, i) => (last * (i + 1)) / levels);
  return schedule.discrete ? times.map((time) => Math.max(1, Math.round(time))) : times;
}

/** The images with the noise of a time of the schedule. */
async function withNoise(
  classifier: Classifier,
  images: Float32Array,
  time: number,
  seed: bigint,
): Promise<Float32Array> {
  const { schedule, sampleShape, device } = classifier;
  const count = images.length / elementCount(sampleShape);
  const noise = await normals(device, sampleShape, sampleStreams(count, { seed, record: 0, draw: 0 }));
  return noised(images, noise, noiseLevel(schedule, time));
}

/** Images to classify, and the classifier. */
interface Work {
  classifier: Classifier;
  images: Float32Array;
  batch: number;
  call: Call;
}

/** Computes scores of the labels by noise level. */
async function scoreLevels(
  { classifier, images, batch, call }: Work,
  labels: Int32Array,
  levels: number,
): Promise<void> {
  const seed = BigInt(call.options.seed('seed') ?? runOptionFacts.seed.standard);
  const times = noisyTimes(classifier, levels);
  const progress = progressBar('classify', call.json);
  const rows: (Scores & { n: number; time: number })[] = [];
  try {
    for (const n of times) {
      const time = classifier.schedule.networkTime(n);
      const noisy = await withNoise(classifier, images, n, seed);
      const found = await classify(classifier, noisy, { time, batch, signal: call.signal }, (done) => {
        progress.update(rows.length * labels.length + done, times.length * labels.length);
      });
      rows.push({ n, time, ...scores(labels, found) });
    }
  } finally {
    progress.stop();
  }
  if (call.json) {
    printJson({ levels: rows, images: labels.length, device: classifier.device.name });
    return;
  }
  const cells = rows.map(({ n, time, accuracy, crossEntropy }) => [
    String(n),
    String(time),
    accuracy.toFixed(4),
    crossEntropy.toFixed(4),
  ]);
  printTable([['n', 'time', 'accuracy', 'cross entropy'], ...cells]);
}

function printGuesses(top: readonly Guess[][], labels: Int32Array | null, names: readonly string[] | null): void {
  printTable([
    ['image', ...(labels === null ? [] : ['label']), 'class and probability'],
    ...top.map((each, n) => [
      names?.[n] ?? String(n),
      ...(labels === null ? [] : [String(at(labels, n))]),
      ...each.map(({ label, probability }) => `${label} ${probability.toFixed(4)}`),
    ]),
  ]);
}

export const classifyCommand: Command = {
  name: 'classify',
  summary: 'The most probable classes of images; accuracy and cross entropy where their file has labels.',
  arguments: ['CLASSIFIER'],
  options: {
    input: {
      value: 'PATH',
      help: `${dataImagesHelp}; labels beside them are compared`,
    },
    time: { value: 'T', help: `the network time of the noise in the images; default ${CLEAN}, none` },
    'noise-levels': { value: 'K', help: "how well labels are told at K of the schedule's noise levels" },
    seed: specOf(runOptionFacts.seed, 'for --noise-levels: seed of the noise'),
    batch: specOf(batchFact),
    ...configOption,
    ...deviceOptions,
  },
  async run(call) {
    const { options, signal } = call;
    const path = options.required('input');
    const time = options.number('time') ?? CLEAN;
    const batch = options.integer('batch', batchFact) ?? batchFact.standard;
    await using classifier = await Classifier.load(at(call.positionals, 0), {
      ...deviceSettings(options),
      config: options.string('config'),
      signal,
    });
    const { images, names, labels: known } = await readDataImages(path, classifier, { signal, labels: true });
    const count = images.length / elementCount(classifier.sampleShape);
    const labels =
      known === null ? await labelsOf(path, count, classifier.classes) : checkedLabels(path, known, classifier.classes);
    const levels = options.integer('noise-levels');
    if (levels === undefined && options.has('seed')) throw usageError('--seed is for --noise-levels');
    if (levels !== undefined) {
      if (levels < 1) throw usageError(`--noise-levels is ${levels}, it has to be at least 1`);
      if (labels === null) throw usageError('--noise-levels is for images with labels');
      if (options.has('time')) throw usageError('--time and --noise-levels exclude each other');
      await scoreLevels({ classifier, images, batch, call }, labels, levels);
      return;
    }
    const progress = progressBar('classify', call.json);
    const found = await classify(classifier, images, { time, batch, signal }, (done) => {
      progress.update(done, count);
    }).finally(() => {
      progress.stop();
    });
    const top = found.map(guesses);
    const scored = labels === null ? null : scores(labels, found);
    if (call.json) {
      const rows = top.map((each, n) => ({
        ...(names !== null && { name: at(names, n) }),
        ...(labels !== null && { label: at(labels, n) }),
        top: each,
      }));
      printJson({ images: rows, time, ...scored, device: classifier.device.name });
      return;
    }
    printGuesses(top, labels, names);
    if (scored === null) return;
    const { accuracy, crossEntropy } = scored;
    printLine(
      `accuracy ${accuracy.toFixed(4)}, cross entropy ${crossEntropy.toFixed(4)} of ${top.length} images at time ${time}`,
    );
  },
};
