// Training against runs that another engine made in float64: losses, norms, and where the weights end.
import { readFile } from 'node:fs/promises';

import { describe, expect, it } from 'vitest';

import { headNames } from '../../../lib/checkpoint/heads.js';
import { Classifier, logSoftmax } from '../../../lib/guidance/classifier.js';
import type {
  NativeTrainerOptions,
  NativeTrainingSteps,
  NativeTrainerResult,
  NativeTrainerSamples,
} from '../../../lib/engine/native-trainer.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { levelsAt, trainingLevels } from '../../../lib/training/levels.js';
import { largest, readTensors } from '../../support/tensors.js';
import { packagePath } from '../../support/temporary.js';
import { fromLevels, openTrainer, type OpenTrainer } from '../../support/trainer.js';

interface LoggedStep {
  loss: number;
  losses?: number[];
  gradientNorm: number;
  lr: number;
  averageDecay?: number;
}

interface Facts {
  batch: number;
  clip: number;
  nullLabel?: number;
  optimizer: { lr: number; betas: [number, number]; epsilon: number; weightDecay: number };
  log: LoggedStep[];
  vanishing: string[];
}

type Tensors = Record<string, Float32Array>;

const goldens = 'test/fixtures/gradients/training';
const tiny = 'test/fixtures/gradients/class-rows/diffusers-adm-tiny';
const devices = ['reference', 'cpu'];

async function readFacts<T>(name: string): Promise<T> {
  return JSON.parse(await readFile(packagePath(`${goldens}/${name}.json`), 'utf8')) as T;
}

function samplesOf(golden: Tensors, labels: Float32Array | null = null): NativeTrainerSamples {
  return {
    images: fromLevels(golden.images!),
    noise: golden.noise!,
    levels: Uint32Array.from(golden.n!),
    labels: labels === null ? null : Int32Array.from(labels),
  };
}

function requestOf(
  log: readonly LoggedStep[],
  samples: NativeTrainerSamples | null,
  averageDecay: (step: number) => number = () => 0,
): NativeTrainingSteps {
  return {
    firstStep: 0,
    rates: Float64Array.from(log, ({ lr }) => lr),
    averageDecays: Float64Array.from(log, (_, step) => averageDecay(step)),
    samples,
    cancel: null,
    onProgress: null,
    progressMilliseconds: 0,
  };
}

function optionsOf({ batch, clip, optimizer }: Facts): Partial<NativeTrainerOptions> & { batch: number } {
  const [beta1, beta2] = optimizer.betas;
  return { batch, clip, beta1, beta2, epsilon: optimizer.epsilon, decay: optimizer.weightDecay };
}

/** Opens a trainer, or skips the test where the device does not compute gradients of weights yet. */
async function opened(
  skip: (note: string) => void,
  folder: string,
  device: string,
  options: Partial<NativeTrainerOptions> & { batch: number },
): Promise<OpenTrainer> {
  const trainer = await openTrainer(packagePath(folder), device, options);
  if (trainer !== null) return trainer;
  skip(`the ${device} device does not train`);
  throw new Error('the test goes on');
}

function expectRelative(found: number, expected: number, tolerance: number, what: string): void {
  expect(Math.abs(found - expected), what).toBeLessThanOrEqual(tolerance * Math.abs(expected));
}

/** Compares losses and norms of steps. */
function expectLog({ losses, norms }: NativeTrainerResult, log: readonly LoggedStep[]): void {
  expect(losses.length).toBe(log.length);
  log.forEach(({ loss, gradientNorm }, step) => {
    expectRelative(losses[step]!, loss, 1e-5, `loss of step ${step}`);
    expectRelative(norms[step]!, gradientNorm, 1e-5, `norm of step ${step}`);
  });
}

/** Compares norms of gradients, which the first moments are where beta1 is 0. */
async function expectGradients(
  open: OpenTrainer,
  norms: Readonly<Record<string, number>>,
  vanishing: readonly string[],
): Promise<void> {
  const gradients = await open.tensors('firstMoments');
  for (const [tensor, norm] of Object.entries(norms)) {
    if (vanishing.includes(tensor)) continue;
    expectRelative(Math.hypot(...gradients.get(tensor)!), norm, 1e-4, tensor);
  }
}

function sumOfSquares(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value ** 2, 0);
}

/** Compares tensors by the way that they moved, in L2: 2e-3 of each, 1e-4 of all. */
function expectMoved(
  found: ReadonlyMap<string, Float32Array>,
  before: ReadonlyMap<string, Float32Array>,
  golden: Tensors,
  prefix: string,
  vanishing: readonly string[],
): void {
  let [error, way] = [0, 0];
  const names = Object.keys(golden).filter((name) => name.startsWith(prefix));
  expect(names.length).toBeGreaterThan(5);
  for (const key of names) {
    const name = key.slice(prefix.length);
    if (vanishing.includes(name)) continue;
    const [values, start, expected] = [found.get(name)!, before.get(name)!, golden[key]!];
    const moved = expected.map((value, i) => value - start[i]!);
    // Adam makes whole steps of gradients that are next to zero, so single elements can differ by more than the rest.
    const [ownError, ownWay] = [sumOfSquares(expected.map((value, i) => values[i]! - value)), sumOfSquares(moved)];
    expect(Math.sqrt(ownError), name).toBeLessThanOrEqual(2e-3 * Math.sqrt(ownWay));
    error += ownError;
    way += ownWay;
  }
  expect(Math.sqrt(error)).toBeLessThan(1e-4 * Math.sqrt(way));
}

interface HeadFacts {
  /** Sum of squared differences of each sample. */
  losses: number[];
  gradientNorms: Record<string, number>;
}

describe.each(devices)('a trainer on the %s device', (device) => {
  it.each(headNames)('differentiates the loss of a head (%s) as another engine does', async (head) => {
    const fixture = 'test/fixtures/gradients/variance/heads-ho-ddpm-head-complex';
    const { [head]: facts } = JSON.parse(await readFile(packagePath(`${fixture}.json`), 'utf8')) as Record<
      string,
      HeadFacts
    >;
    const golden = await readTensors(packagePath(`${fixture}.safetensors`));
    const folder = packagePath('test/fixtures/unet/ho-ddpm-head-complex');
    const open = (await openTrainer(folder, device, { batch: 4, loss: head }))!;
    // A mean over elements here, a sum there.
    const { elements } = open;
    const { losses, norms } = await open.trainer.run(
      requestOf([{ loss: 0, gradientNorm: 0, lr: 0 }], { ...samplesOf(golden), probes: golden.signs! }),
    );
    const mean = facts!.losses.reduce((sum, loss) => sum + loss) / 4;
    expectRelative(losses[0]! * elements, mean, 1e-5, 'loss');
    const norm = Math.hypot(...Object.values(facts!.gradientNorms));
    expectRelative(norms[0]! * elements, norm, 1e-5, 'norm');
    // Adam's first mean of gradients is (1 - beta1) times the gradient.
    const moments = await open.tensors('firstMoments');
    expect([...moments.keys()].sort()).toEqual(Object.keys(facts!.gradientNorms).sort());
    for (const [name, values] of Object.entries(golden)) {
      if (!name.startsWith(`${head}.grad.`)) continue;
      const own = moments.get(name.slice(`${head}.grad.`.length))!.map((value) => 10 * elements * value);
      const error = largest(own.map((value, i) => value - values[i]!));
      expect(error, name).toBeLessThan(2e-5 * Math.max(largest(values), 1));
    }
    await open[Symbol.asyncDispose]();
  });

  it('moves the weights of a head alone', async () => {
    const folder = packagePath('test/fixtures/unet/ho-ddpm-head-complex');
    const golden = await readTensors(
      packagePath('test/fixtures/gradients/variance/heads-ho-ddpm-head-complex.safetensors'),
    );
    for (const head of headNames) {
      await using open = (await openTrainer(folder, device, { batch: 4, loss: head }))!;
      const before = await open.tensors('parameters');
      const steps = Array.from({ length: 3 }, () => ({ loss: 0, gradientNorm: 0, lr: 1e-2 }));
      const { images, noise, levels } = samplesOf(golden);
      const thrice = <T extends Float32Array | Uint32Array>(values: T): T =>
        (values instanceof Uint32Array ? Uint32Array : Float32Array).from([...values, ...values, ...values]) as T;
      const samples = { images: thrice(images), noise: thrice(noise), levels: thrice(levels), labels: null };
      const { losses } = await open.trainer.run(requestOf(steps, samples));
      expect(losses[2]).toBeLessThan(losses[0]!);
      for (const [name, values] of await open.tensors('parameters')) {
        // What is one for all pixels before a norm of single channels has no gradient.
        if (/conv.*weight/.test(name)) expect(values, name).not.toEqual(before.get(name));
      }
    }
  });

  it('takes ten steps of Adam as another engine does', async ({ skip }) => {
    const facts = await readFacts<Facts & { emaDecay: number }>('adam-epsilon');
    const golden = await readTensors(packagePath(`${goldens}/adam-epsilon.safetensors`));
    if (device === 'reference') {
      // It takes seconds a step, so all ten are taken with the smaller network below.
      await using open = await opened(skip, 'test/fixtures/unet/diffusers-ddpm', device, optionsOf(facts));
      const log = facts.log.slice(0, 2);
      const each = facts.batch * open.elements;
      const { images, noise, levels } = samplesOf(golden);
      const samples = {
        images: images.subarray(0, 2 * each),
        noise: noise.subarray(0, 2 * each),
        levels: levels.subarray(0, 2 * facts.batch),
        labels: null,
      };
      expectLog(await open.trainer.run(requestOf(log, samples)), log);
      return;
    }
    for (const [prefix, decay] of [
      ['ema.', () => facts.emaDecay],
      ['emaWarm.', (step: number) => Math.min(facts.emaDecay, (2 + step) / (11 + step))],
    ] as const) {
      await using open = await opened(skip, 'test/fixtures/unet/diffusers-ddpm', device, optionsOf(facts));
      const before = await open.tensors('parameters');
      expectLog(await open.trainer.run(requestOf(facts.log, samplesOf(golden), decay)), facts.log);
      expectMoved(await open.tensors('parameters'), before, golden, 'weight.', facts.vanishing);
      expectMoved(await open.tensors('average'), before, golden, prefix, facts.vanishing);
    }
  });

  it('takes steps of a classifier by AdamW as another engine does', async ({ skip }) => {
    const facts = await readFacts<Facts & { emaDecay: number }>('adamw-classifier');
    const golden = await readTensors(packagePath(`${goldens}/adamw-classifier.safetensors`));
    // The reference takes a second a step.
    const log = facts.log.slice(0, device === 'reference' ? 2 : undefined);
    const options = { ...optionsOf(facts), clip: 0, loss: 'cross-entropy' } as const;
    await using open = await opened(skip, 'test/fixtures/unet/classifier-attention', device, options);
    const before = await open.tensors('parameters');
    const count = log.length * facts.batch;
    const { images, noise, levels, labels } = samplesOf(golden, golden.labels);
    const samples = {
      images: images.subarray(0, count * open.elements),
      noise: noise.subarray(0, count * open.elements),
      levels: levels.subarray(0, count),
      labels: labels!.subarray(0, count),
    };
    expectLog(await open.trainer.run(requestOf(log, samples, () => facts.emaDecay)), log);
    if (device === 'reference') return;
    expectMoved(await open.tensors('parameters'), before, golden, 'weight.', facts.vanishing);
    expectMoved(await open.tensors('average'), before, golden, 'ema.', facts.vanishing);
  });

  it('adds micro-batches, clips once, and lets all weights decay', async ({ skip }) => {
    const facts = await readFacts<Facts>('adamw-class');
    const golden = await readTensors(packagePath(`${goldens}/adamw-class.safetensors`));
    await using open = await opened(skip, tiny, device, { ...optionsOf(facts), accumulate: 2 });
    const before = await open.tensors('parameters');
    const samples = samplesOf(golden, golden.class_labels);
    const each = 2 * facts.batch;
    for (const [step, { loss, gradientNorm, lr }] of facts.log.entries()) {
      const part = (values: Float32Array, of: number) => values.subarray(step * each * of, (step + 1) * each * of);
      const result = await open.trainer.run({
        ...requestOf([{ loss, gradientNorm, lr }], {
          images: part(samples.images, open.elements),
          noise: part(samples.noise, open.elements),
          levels: samples.levels.subarray(step * each, (step + 1) * each),
          labels: samples.labels!.subarray(step * each, (step + 1) * each),
        }),
        firstStep: step,
      });
      expectLog(result, [{ loss, gradientNorm, lr }]);
      expectMoved(await open.tensors('parameters'), before, golden, `step${step + 1}.`, facts.vanishing);
    }
  });

  it('takes ten steps with classes, whose labels are dropped', async ({ skip }) => {
    const facts = await readFacts<Facts>('adam-class');
    const golden = await readTensors(packagePath(`${goldens}/adam-class.safetensors`));
    await using open = await opened(skip, tiny, device, optionsOf(facts));
    const before = await open.tensors('parameters');
    const labels = golden.class_labels!.map((label, i) => (golden.dropped![i] === 1 ? facts.nullLabel! : label));
    const request = requestOf(facts.log, samplesOf(golden, labels), (step) => facts.log[step]!.averageDecay!);
    expectLog(await open.trainer.run(request), facts.log);
    expectMoved(await open.tensors('parameters'), before, golden, 'weight.', facts.vanishing);
    expectMoved(await open.tensors('average'), before, golden, 'average.', facts.vanishing);
  });

  // The reference takes seconds a step.
  const cases = ['epsilon', 'sample', 'v_prediction'].flatMap((name) => [name, `${name}-min-snr`]);
  it.for(device === 'reference' ? ['epsilon-min-snr', 'sample', 'v_prediction-min-snr'] : cases)(
    'has the loss and gradients of %s',
    async (name, { skip }) => {
      interface Case {
        loss: number;
        gradientNorm: number;
        gradientNorms: Record<string, number>;
      }
      const facts = await readFacts<{ batch: number; cases: Record<string, Case>; vanishing: string[] }>('predictions');
      const golden = await readTensors(packagePath(`${goldens}/predictions.safetensors`));
      const predictions = { epsilon: 'epsilon', sample: 'x0', v_prediction: 'v' } as const;
      const prediction = predictions[name.replace('-min-snr', '') as keyof typeof predictions];
      const snrGamma = name.endsWith('-min-snr') ? 5 : 0;
      const { batch } = facts;
      // With beta1 = 0 the first moments are the gradients.
      const levels = trainingLevels(NoiseSchedule.linear(), null, { prediction, snrGamma });
      const options = { batch, levels, beta1: 0 };
      await using open = await opened(skip, 'test/fixtures/unet/diffusers-ddpm', device, options);
      const before = await open.tensors('parameters');
      const expected = facts.cases[name]!;
      const request = requestOf([{ ...expected, lr: 0 }], samplesOf(golden));
      const result = await open.trainer.run(request);
      expectRelative(result.losses[0]!, expected.loss, 1e-5, 'loss');
      expectRelative(result.norms[0]!, expected.gradientNorm, 1e-4, 'norm');
      await expectGradients(open, expected.gradientNorms, facts.vanishing);
      expect(await open.tensors('parameters')).toEqual(before);
    },
  );
});

describe('a trainer', () => {
  it('has the loss and gradients of a learned variance', async () => {
    const facts = await readFacts<Facts & { losses: number[]; loss: number; gradientNorm: number }>('hybrid');
    const { gradientNorms } = await readFacts<{ gradientNorms: Record<string, number> }>('hybrid');
    const golden = await readTensors(packagePath(`${goldens}/hybrid.safetensors`));
    const folder = packagePath('test/fixtures/unet/openai-adm-class');
    const levels = trainingLevels(NoiseSchedule.linear(), null, {
      prediction: 'epsilon',
      snrGamma: 0,
      learnsRange: true,
    });
    const request = requestOf([{ ...facts, lr: 0 }], samplesOf(golden, golden.class_labels));
    for (const [device, accumulate] of [
      ['reference', 1],
      ['cpu', 1],
      ['cpu', 3],
    ] as const) {
      const options = { batch: 3 / accumulate, accumulate, levels, loss: 'hybrid', beta1: 0 } as const;
      await using open = (await openTrainer(folder, device, options))!;
      const { losses, norms } = await open.trainer.run(request);
      expectRelative(losses[0]!, facts.loss, 1e-5, 'loss');
      expectRelative(norms[0]!, facts.gradientNorm, 1e-4, 'norm');
      await expectGradients(open, gradientNorms, facts.vanishing);
    }
  });

  it('weighs the bound of a learned variance by the number of levels, and sees its weights move', async () => {
    const facts = await readFacts<{ mse: number[]; vb: number[] }>('hybrid');
    const golden = await readTensors(packagePath(`${goldens}/hybrid.safetensors`));
    const options = { prediction: 'epsilon', snrGamma: 0, learnsRange: true } as const;
    const schedule = NoiseSchedule.linear();
    const once = trainingLevels(schedule, null, options);
    const twice = <T extends Float64Array | Float32Array>(values: T): T =>
      (values instanceof Float32Array ? Float32Array : Float64Array).from([...values, ...values]) as T;
    const { stepsBack, ...tables } = once;
    const doubled = (each: object): never =>
      Object.fromEntries(
        Object.entries(each as Record<string, Float64Array>).map(([name, values]) => [name, twice(values)]),
      ) as never;
    const levels = {
      ...(doubled(tables) as typeof tables),
      stepsBack: doubled(stepsBack!) as NonNullable<typeof stepsBack>,
    };
    await using open = (await openTrainer(packagePath('test/fixtures/unet/openai-adm-class'), 'cpu', {
      batch: 3,
      levels,
      loss: 'hybrid',
    }))!;
    const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value) / values.length;
    const request = requestOf([{ loss: 0, gradientNorm: 0, lr: 1e-3 }], samplesOf(golden, golden.class_labels));
    const [first] = (await open.trainer.run(request)).losses;
    expectRelative(first!, mean(facts.mse) + 2 * mean(facts.vb), 1e-5, 'loss');
    const [second] = (await open.trainer.run({ ...request, firstStep: 1 })).losses;
    expect(second).toBeLessThan(0.99 * first!);
  });

  it('refuses tables that do not belong to what is learned', async () => {
    const folder = packagePath('test/fixtures/unet/openai-adm-class');
    const own = { batch: 1, loss: 'hybrid' } as const;
    const levels = trainingLevels(NoiseSchedule.linear(), null, {
      prediction: 'epsilon',
      snrGamma: 0,
      learnsRange: true,
    });
    const stepsBack = levels.stepsBack!;
    const refused = (changed: object, name = folder) => openTrainer(name, 'cpu', { ...own, levels, ...changed });
    await expect(refused({ levels: { ...levels, stepsBack: undefined } })).rejects.toThrow('levels.stepsBack is for');
    for (const table of ['lows', 'highs', 'variances', 'means'] as const) {
      const short = { ...levels, stepsBack: { ...stepsBack, [table]: stepsBack[table].subarray(1) } };
      await expect(refused({ levels: short })).rejects.toThrow('stepsBack: the tables have an entry for each level');
      const odd = { ...levels, stepsBack: { ...stepsBack, [table]: stepsBack[table].map(() => NaN) } };
      await expect(refused({ levels: odd })).rejects.toThrow('stepsBack');
    }
    for (const table of ['images', 'noises', 'dataTargets', 'noiseTargets', 'weights'] as const) {
      const short = { ...levels, [table]: levels[table].subarray(1) };
      await expect(refused({ levels: short })).rejects.toThrow('levels: the tables have an entry for each level');
    }
    const plain = packagePath('test/fixtures/unet/diffusers-ddpm');
    await expect(refused({}, plain)).rejects.toThrow('has two outputs a pixel');
    await expect(refused({ loss: 'prediction' })).rejects.toThrow("an output of its image's shape");
    await using open = (await openTrainer(folder, 'cpu', { batch: 1, loss: 'hybrid', levels }))!;
    const samples = {
      images: new Float32Array(open.elements),
      noise: new Float32Array(open.elements),
      levels: Uint32Array.of(1),
      labels: Int32Array.of(1),
      probes: new Float32Array(open.elements - 1),
    };
    const request = requestOf([{ loss: 0, gradientNorm: 0, lr: 0 }], samples);
    await expect(open.trainer.run(request)).rejects.toThrow('samples.probes have another shape');
  });

  it('has the loss and gradients of EDM', async () => {
    const facts = await readFacts<Facts & { sigmaData: number; loss: number; gradientNorm: number }>('edm');
    const { gradientNorms } = await readFacts<{ gradientNorms: Record<string, number> }>('edm');
    const golden = await readTensors(packagePath(`${goldens}/edm.safetensors`));
    const schedule = NoiseSchedule.edm({ sigmaData: facts.sigmaData });
    const levels = levelsAt(Float64Array.from(golden.sigma!), schedule, null, { prediction: 'edm', snrGamma: 0 });
    await using open = (await openTrainer(packagePath('test/fixtures/unet/edm-ddpmpp'), 'cpu', {
      batch: 4,
      levels,
      beta1: 0,
    }))!;
    const samples = samplesOf({ ...golden, n: Float32Array.of(1, 2, 3, 4) });
    const { losses, norms } = await open.trainer.run(requestOf([{ ...facts, lr: 0 }], samples));
    expectRelative(losses[0]!, facts.loss, 1e-5, 'loss');
    expectRelative(norms[0]!, facts.gradientNorm, 1e-4, 'norm');
    await expectGradients(open, gradientNorms, facts.vanishing);
  });

  it('tells how many samples a classifier knows, as its logits do', async () => {
    const golden = await readTensors(packagePath(`${goldens}/adamw-classifier.safetensors`));
    const folder = packagePath('test/fixtures/unet/classifier-attention');
    const samples = samplesOf(golden, golden.labels);
    const log = Array.from({ length: 5 }, () => ({ loss: 0, gradientNorm: 0, lr: 0 }));
    await using classifier = await Classifier.load(folder, { device: 'cpu', threads: 2 });
    await using open = (await openTrainer(folder, 'cpu', { batch: 4, accumulate: 2, loss: 'cross-entropy' }))!;
    await using whole = (await openTrainer(folder, 'cpu', { batch: 8, loss: 'cross-entropy' }))!;
    const { losses, norms, accuracies } = await open.trainer.run(requestOf(log, samples));
    const atOnce = await whole.trainer.run(requestOf(log, samples));
    norms.forEach((norm, step) => {
      expectRelative(norm, atOnce.norms[step]!, 1e-5, `norm ${step}`);
    });
    const x = samples.images.map((value, i) => {
      const alphaBar = classifier.schedule.alphaBar(samples.levels[Math.floor(i / open.elements)]!);
      return Math.sqrt(alphaBar) * value + Math.sqrt(1 - alphaBar) * samples.noise[i]!;
    });
    const logits = await classifier.logits(
      x,
      samples.levels.map((level) => level - 1),
    );
    const rows = Array.from(samples.labels!, (label, row) => {
      const own = [...logits.subarray(row * classifier.classes, (row + 1) * classifier.classes)];
      return { entropy: -logSoftmax(own)[label]!, isKnown: own.indexOf(Math.max(...own)) === label };
    });
    log.forEach((_, step) => {
      const part = rows.slice(step * 8, (step + 1) * 8);
      expectRelative(losses[step]!, part.reduce((sum, { entropy }) => sum + entropy, 0) / 8, 1e-5, `loss ${step}`);
      expect(accuracies[step], `accuracy ${step}`).toBe(part.filter(({ isKnown }) => isKnown).length / 8);
    });
    expect(new Set(accuracies).size).toBeGreaterThan(1);
    const labels = Int32Array.from(samples.labels!).fill(-1, 3, 4);
    await expect(open.trainer.run(requestOf(log, { ...samples, labels }))).rejects.toThrow(
      'labels: one is out of range',
    );
  });

  const fewLevels = levelsAt(Float64Array.of(100, 900), NoiseSchedule.linear(), null, {
    prediction: 'epsilon',
    snrGamma: 0,
  });
  const log = Array.from({ length: 4 }, () => ({ loss: 0, gradientNorm: 0, lr: 1e-3 }));
  const data = (count: number): Partial<NativeTrainerOptions> & { batch: number } => ({
    batch: 2,
    images: Uint8Array.from({ length: count * 3 * 8 * 8 }, (_, i) => (i * 37) % 256),
    labels: Int32Array.from({ length: count }, (_, i) => i % 5),
    flips: true,
    labelDropout: 0.2,
    nullLabel: 5,
  });
  const open = async (options: Partial<NativeTrainerOptions> & { batch: number }): Promise<OpenTrainer> =>
    (await openTrainer(packagePath(tiny), 'reference', options))!;

  it('draws from images in memory, and goes on where another one stopped', async () => {
    await using whole = await open(data(5));
    await using first = await open(data(5));
    await using second = await open(data(5));
    const expected = await whole.trainer.run(requestOf(log, null));
    const begun = await first.trainer.run(requestOf(log.slice(0, 2), null));
    for (const which of ['parameters', 'firstMoments', 'secondMoments', 'average'] as const) {
      await second.trainer.write(which, await first.trainer.read(which));
    }
    const rest = await second.trainer.run({ ...requestOf(log.slice(2), null), firstStep: 2 });
    expect([...begun.losses, ...rest.losses]).toEqual([...expected.losses]);
    expect([...begun.norms, ...rest.norms]).toEqual([...expected.norms]);
    expect(await second.trainer.read('parameters')).toEqual(await whole.trainer.read('parameters'));
    expect(expected.seconds).toBeGreaterThan(0);
  });

  it('takes numbers as it takes levels', async () => {
    const levels = data(3);
    const images = Float32Array.from(levels.images!, (level) => (2 * level) / 255 - 1);
    await using one = await open(levels);
    await using other = await open({ ...levels, images });
    const expected = await one.trainer.run(requestOf(log, null));
    expect(await other.trainer.run(requestOf(log, null))).toMatchObject({ losses: expected.losses });
  });

  it('draws levels by their losses, which another one goes on with', async () => {
    const options = { ...data(5), batch: 8, levels: fewLevels, levelSampling: 'loss-second-moment' } as const;
    await using even = await open({ ...options, levelSampling: 'uniform' });
    await using whole = await open(options);
    await using first = await open(options);
    await using second = await open(options);
    expect([...(await even.trainer.levelLosses())]).toEqual([]);
    expect([...(await whole.trainer.levelLosses())]).toEqual(new Array(20).fill(-1));
    const expected = await whole.trainer.run(requestOf(log, null));
    const { losses } = await even.trainer.run(requestOf(log, null));
    expect(losses.slice(0, 2)).toEqual(expected.losses.slice(0, 2));
    expect(losses[3]).not.toBe(expected.losses[3]);
    await first.trainer.run(requestOf(log.slice(0, 3), null));
    for (const which of ['parameters', 'firstMoments', 'secondMoments', 'average'] as const) {
      await second.trainer.write(which, await first.trainer.read(which));
    }
    const found = await first.trainer.levelLosses();
    const taken = second.trainer.setLevelLosses(found);
    found.fill(0);
    await taken;
    await second.trainer.run({ ...requestOf(log.slice(3), null), firstStep: 3 });
    expect(await second.trainer.read('parameters')).toEqual(await whole.trainer.read('parameters'));
    expect(await second.trainer.levelLosses()).toEqual(await whole.trainer.levelLosses());
    await expect(second.trainer.setLevelLosses(new Float32Array(3))).rejects.toThrow('levelLosses');
  });

  it('knows where its constants lie, in the order of their names', async () => {
    await using opened = await open(data(3));
    const { elements, places } = opened.trainer.places();
    expect(places.length).toBeGreaterThan(20);
    expect(elements % 16).toBe(0);
    places.forEach(({ offset }, i) => {
      const previous = places[i - 1];
      expect(offset % 16).toBe(0);
      expect(offset).toBeGreaterThanOrEqual(previous === undefined ? 0 : previous.offset + previous.elements);
    });
    expect((await opened.trainer.read('average')).length).toBe(elements);
    expect(opened.trainer.info.parameters).toBeGreaterThan(50_000);
  });

  it('reports progress, and resolves with the steps before it was cancelled', async () => {
    await using opened = await open(data(3));
    const calls: [number, number][] = [];
    const onProgress = (done: number, total: number): void => void calls.push([done, total]);
    await opened.trainer.run({ ...requestOf(log, null), onProgress });
    expect(calls).toEqual(log.map((_, i) => [i + 1, log.length]));
    const seldom: number[] = [];
    const report = (done: number): void => void seldom.push(done);
    await opened.trainer.run({ ...requestOf(log, null), onProgress: report, progressMilliseconds: 60_000 });
    expect(seldom.at(-1)).toBe(log.length);
    expect(seldom.length).toBeLessThan(log.length);
    const thrower = (): void => {
      throw new Error('enough');
    };
    const many = Array.from({ length: 500 }, () => log[0]!);
    await expect(opened.trainer.run({ ...requestOf(many, null), onProgress: thrower })).rejects.toThrow('enough');
  });

  it('refuses what does not belong together', async () => {
    await using opened = await open(data(3));
    const { trainer } = opened;
    const refused = { code: 'ERR_DPM_ARGUMENT' };
    await expect(trainer.run({ ...requestOf(log, null), averageDecays: new Float64Array(1) })).rejects.toMatchObject(
      refused,
    );
    expect(() => trainer.read('gradients' as never)).toThrow('which');
    expect(() => trainer.write('average', new Float32Array(3))).toThrow('values');
    expect(() => trainer.run({ ...requestOf(log, null), rates: [1] as never })).toThrow('rates');
    await expect(open({ ...data(3), labels: null })).rejects.toMatchObject(refused);
    await expect(open({ ...data(3), batch: 0 })).rejects.toThrow('batch');
    await trainer.close();
    expect(() => trainer.run(requestOf(log, null))).toThrow('closed');
  });
});
