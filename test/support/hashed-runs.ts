// Runs of every kind on small networks, and the hash of all that each of them gives: what has to stay when the loops change.
import { createHash } from 'node:crypto';

import { elementCount } from '../../lib/base/arrays.js';
import { Classifier } from '../../lib/guidance/classifier.js';
import { DiffusionModel } from '../../lib/model.js';
import type { RunResult } from '../../lib/run/network-run.js';
import { runProgram } from '../../lib/run/run-program.js';
import type { RunOptions } from '../../lib/run/options.js';
import { samplers, type SamplerName } from '../../lib/samplers/index.js';
import { NoiseSchedule } from '../../lib/schedule/noise-schedule.js';
import { TextToImage } from '../../lib/text-to-image.js';
import { createBatcher } from '../../lib/batch/create-batcher.js';
import { translate } from '../../lib/translation/translate.js';
import { packagePath } from './temporary.js';

type Values = Float32Array | Uint8Array;

/** A run on a device by its name. */
interface HashedRun {
  name: string;
  /** Gives the results, in an order that does not depend on time. */
  run: (device: string) => Promise<readonly Values[]>;
}

const waves = (length: number, seed: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * seed));

function valuesOf({ images, snapshots }: Pick<RunResult, 'images' | 'snapshots'>): Values[] {
  return [images, ...snapshots.map((snapshot) => snapshot.images)].map(({ data }) => data);
}

/** Model with classes and a learned range. */
const conditional = (device: string): Promise<DiffusionModel> =>
  DiffusionModel.load(packagePath('test/fixtures/unet/diffusers-adm'), { device, dtype: 'f32' });
/** Runs with a network and a classifier of the same size, on one device, for guides and translations. */
async function withClassifier<T>(
  device: string,
  work: (model: DiffusionModel, classifier: Classifier) => Promise<T>,
): Promise<T> {
  await using model = await DiffusionModel.load(packagePath('test/fixtures/unet/ho-ddpm'), {
    device,
    dtype: 'f32',
    schedule: NoiseSchedule.linear({ steps: 32 }),
  });
  await using classifier = await Classifier.load(packagePath('test/fixtures/unet/classifier-attention'), {
    device: model.device,
  });
  return await work(model, classifier);
}

/** Classifier-free guidance beside samples without it. */
const mixed = { count: 3, seed: 4, classLabels: [3, 7, 0], guidance: [2.5, 1, 0] };

/** A run with whatever its previews show behind what it gives. */
async function withPreviews(
  run: (onPreview: NonNullable<RunOptions['onPreview']>) => Promise<RunResult>,
): Promise<Values[]> {
  const shown: Values[] = [];
  const result = await run((images, { record, first }) => shown.push(Float32Array.of(record, first), images.data));
  return [...valuesOf(result), ...shown];
}

const onNetwork: HashedRun[] = [
  {
    name: 'guided samples, with snapshots and previews',
    run: async (device) => {
      await using model = await conditional(device);
      return await withPreviews((onPreview) =>
        model.sample({ sampler: 'ddim', steps: 4, ...mixed, batch: 2, snapshotEvery: 2, onPreview, previewEvery: 3 }),
      );
    },
  },
  {
    name: 'a learned variance, given noise and initial states, as levels',
    run: async (device) => {
      await using model = await conditional(device);
      const all = mixed.count * elementCount(model.sampleShape);
      const own = { init: waves(all, 1), noise: waves(3 * all, 2), format: 'uint8' } as const;
      const { classLabels } = mixed;
      return valuesOf(
        // Times that leave values between black and white.
        await model.sample({
          sampler: 'ddpm',
          variance: 'learned',
          timesteps: [40, 20, 0],
          count: 3,
          classLabels,
          ...own,
          batch: 2,
        }),
      );
    },
  },
  {
    name: 'programs of several lengths, registers and guidance',
    run: async (device) => {
      await using model = await conditional(device);
      const { schedule } = model;
      const programs = [
        samplers['dpm-solver-2'](schedule, { steps: 4 }),
        samplers.unipc(schedule, { steps: 3 }),
        samplers.ddpm(schedule, { steps: 5, variance: 'learned' }),
      ];
      return valuesOf(await model.run(programs, { ...mixed, batch: 2, snapshotEvery: 2 }));
    },
  },
  {
    name: 'an adaptive sampler with guidance',
    run: async (device) => {
      await using model = await conditional(device);
      return valuesOf(await model.sample({ sampler: 'predictor-corrector', steps: 2, ...mixed, batch: 2 }));
    },
  },
  {
    name: 'a stream',
    run: async (device) => {
      await using model = await conditional(device);
      const given: Values[] = [];
      for await (const { image } of model.stream({ sampler: 'heun', steps: 3, ...mixed, batch: 2 })) {
        given.push(image.data);
      }
      return given;
    },
  },
  {
    name: 'classifiers that guide, in both forms',
    run: (device) =>
      withClassifier(device, async (model, classifier) => {
        const guides = [classifier.guide({ labels: [1, 2, 0], scale: 3 }), classifier.guide({ labels: 1, scale: 0.5 })];
        const options = { sampler: 'ddpm', steps: 3, count: 3, seed: 2, batch: 2, guides } as const;
        const score = await model.sample({ ...options, guideForm: 'score', snapshotEvery: 1 });
        const mean = await model.sample({ ...options, guideForm: 'mean' });
        return [...valuesOf(score), ...valuesOf(mean)];
      }),
  },
  {
    name: 'functions that guide and constrain',
    run: (device) =>
      withClassifier(device, async (model, classifier) => {
        const guide = classifier.guide({ labels: [1, 2, 0], scale: 3 });
        const guides = [(x: Float32Array, t: Float32Array, first: number) => guide(x, t, first)];
        const constrain = (x: Float32Array): Float32Array => x.map((value, i) => (i % 7 === 0 ? 0.5 * value : value));
        const options = { steps: 3, count: 3, seed: 2, batch: 2 } as const;
        const guided = await model.sample({ sampler: 'ddim', ...options, guides });
        const held = await model.sample({ sampler: 'ddpm', ...options, constrain, format: 'uint8' });
        const both = await model.sample({ sampler: 'dpm-solver++-2m', ...options, guides, constrain });
        return [guided, held, both].flatMap(valuesOf);
      }),
  },
  {
    name: 'translations',
    run: (device) =>
      withClassifier(device, async (model, extractor) => {
        const sources = waves(2 * elementCount(model.sampleShape), 5);
        const options = { seed: 3, start: 0.25, batch: 2 };
        const egsde = await translate(model, sources, { ...options, extractor });
        const ilvr = await translate(model, sources, { ...options, method: 'ilvr', stride: 8 });
        return [egsde.images.data, ilvr.images.data];
      }),
  },
];

/** A function in place of a network, which pays no heed to who else asks. */
const function_ = (x: Float32Array, t: number): { out: Float32Array; head: Float32Array } => ({
  out: x.map((value) => 0.8 * value + 0.3 * Math.sin(value + t / 300)),
  head: x.map((value) => 0.5 + 0.25 * Math.cos(value)),
});

const onFunction: HashedRun[] = [
  {
    name: 'programs on a function',
    run: async (device) => {
      await using model = await conditional(device);
      const shape = [3, 2, 5];
      const options = { device: model.device, shape, seed: 6, model: function_ };
      const schedule = NoiseSchedule.linear();
      const noise = [waves(30, 1), waves(30, 2), waves(30, 3), waves(30, 4)];
      return [
        await runProgram(samplers['dpm-solver-3'](schedule, { steps: 4 }), options),
        await runProgram(samplers.unipc(schedule, { steps: 4 }), { ...options, init: waves(30, 9) }),
        await runProgram(samplers.ancestral(schedule, { steps: 4 }), { ...options, noise }),
        await runProgram(samplers['sn-ddpm'](schedule, { steps: 4 }), options),
        await runProgram(samplers['predictor-corrector'](schedule, { steps: 3 }), options),
      ];
    },
  },
  {
    name: 'a batch over a function',
    run: async (device) => {
      await using model = await conditional(device);
      await using batcher = await createBatcher({
        shape: [1, 2, 5],
        schedule: NoiseSchedule.linear(),
        device: model.device,
        classes: 3,
        head: true,
        rows: 4,
        evaluate: (x, t, labels) => {
          const row = (i: number): number => Math.floor(i / 10);
          const out = x.map((value, i) => 0.7 * value + 0.1 * (labels?.[row(i)] ?? 0) + (t[row(i)] ?? 0) / 2000);
          return { out, head: x.map((value) => 0.5 + 0.25 * Math.cos(value)) };
        },
      });
      const results = await Promise.all([
        batcher.sample({ sampler: 'ddim', steps: 5, seed: 1, count: 3, classLabels: [0, 1, 2], guidance: [2, 1, 0] }),
        batcher.sample({ sampler: 'sn-ddim', steps: 3, seed: 2, classLabels: 1 }),
        batcher.sample({ sampler: 'heun', steps: 3, seed: 3, count: 2, classLabels: 2, snapshotEvery: 2 }),
      ]);
      return results.flatMap(valuesOf);
    },
  },
];

const served: HashedRun = {
  name: 'requests of a served batch',
  run: async (device) => {
    await using model = await conditional(device);
    // One size, so that no bit depends on which requests share a step.
    await using batcher = await model.batcher({ rows: 4, slots: 6, sizes: 'one' });
    const all = 2 * elementCount(model.sampleShape);
    const shown: { at: number; values: Values }[] = [];
    const results = await Promise.all([
      batcher.sample({ sampler: 'ddim', steps: 4, snapshotEvery: 3, ...mixed }),
      batcher.sample({ sampler: 'ddpm', steps: 3, seed: 2, count: 2, classLabels: 4, noise: waves(3 * all, 3) }),
      batcher.sample({ sampler: 'ddpm', variance: 'learned', steps: 3, seed: 3, classLabels: 5 }),
      batcher.sample({
        sampler: 'dpm-solver++-2m',
        steps: 3,
        count: 2,
        init: waves(all, 4),
        classLabels: [2, 1],
        previewOf: 'prediction',
        onPreview: (images, { record, first }) => shown.push({ at: 100 * first + record, values: images.data }),
      }),
      batcher.sample({ sampler: 'predictor-corrector', steps: 2, seed: 5, classLabels: 6 }),
    ]);
    return [...results.flatMap(valuesOf), ...shown.sort((a, b) => a.at - b.at).map(({ values }) => values)];
  },
};

const ofWords: HashedRun = {
  name: 'images of words, guided away from others',
  run: async (device) => {
    await using pipeline = await TextToImage.load(packagePath('test/fixtures/latent/sd1'), { device, dtype: 'f32' });
    const { images } = await pipeline.generate({
      prompt: ['a cat', 'a dog on a mat'],
      negativePrompt: 'rain',
      guidance: [4, 1],
      steps: 3,
      seed: 5,
    });
    return images === null ? [] : [images.data];
  },
};

export const hashedRuns: readonly HashedRun[] = [...onNetwork, ...onFunction, served, ofWords];

/** 128 bits of the hash of all values. */
export function hashOf(values: readonly Values[]): string {
  const hash = createHash('sha256');
  for (const { buffer, byteOffset, byteLength } of values) hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  return hash.digest('hex').slice(0, 32);
}

/** A short run of any sampler. */
export function sixSteps(model: DiffusionModel, sampler: SamplerName): Promise<RunResult> {
  const steps = sampler === 'dpm-solver-adaptive' ? {} : { steps: 6 };
  return model.sample({ sampler, ...steps, count: 3, batch: 2, seed: 11 });
}
