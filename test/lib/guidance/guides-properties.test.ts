// Changes that guides make in a sampler, and options that exclude guides.
import { describe, expect, it } from 'vitest';

import { DpmError } from '../../../lib/base/errors.js';
import { DiffusionModel } from '../../../lib/model.js';
import { guidedProgram } from '../../../lib/guidance/guided-program.js';
import { stepProgram, stepRecord } from '../../../lib/program/builder.js';
import type { Guide } from '../../../lib/guidance/guide.js';
import { amplitudesOfNetworkTime } from '../../../lib/schedule/network-level.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { maxDifference } from '../../support/golden.js';
import { Random } from '../../support/random.js';
import { packagePath } from '../../support/temporary.js';

const elements = 28 * 28;

function normals(count: number, seed: number): Float32Array {
  const random = new Random(seed);
  return Float32Array.from({ length: count }, () => random.normal());
}

const pattern = normals(elements, 9).map((value) => value / 20);
/** The same for every sample, at every time. */
const constant: Guide = (x) => Float32Array.from(x, (_, i) => pattern[i % elements]!);

const load = (): Promise<DiffusionModel> => DiffusionModel.load('mnist', { device: 'cpu', exact: true, threads: 1 });

describe('a guide of the score', () => {
  it('of zero changes nothing', async () => {
    await using model = await load();
    for (const sampler of ['ddpm', 'ddim', 'unipc'] as const) {
      const options = { sampler, steps: 5, seed: 2, count: 2 } as const;
      const { images } = await model.sample({ ...options, guides: [(x) => new Float32Array(x.length)] });
      const plain = await model.sample(options);
      expect(maxDifference(images.data, plain.images.data)).toBeLessThan(1e-5);
    }
  });
});

describe('a guide of the mean', () => {
  it('moves it by the variance of the noise, and is the default of reverse chains', async () => {
    await using model = await load();
    const init = normals(elements, 3);
    const options = { sampler: 'ddpm', variance: 'beta', timesteps: [500, 400], init, seed: 1, count: 1 } as const;
    const step = model.program({ sampler: 'ddpm', variance: 'beta', timesteps: [500, 400] });
    if (step.kind !== 'step') throw new Error('ddpm is a step program');
    const [first] = step.records;
    if (first?.variance.kind !== 'scalar') throw new Error('its first record adds noise');
    const one = stepProgram([first]);
    const unguided = await model.run(one, { init, seed: 1 });
    const guided = await model.run(one, { init, seed: 1, guides: [constant], guideForm: 'mean' });
    const { deviation } = first.variance;
    const expected = unguided.images.data.map((value, i) => value + deviation ** 2 * pattern[i]!);
    expect(maxDifference(guided.images.data, expected)).toBeLessThan(1e-6);
    const byDefault = await model.sample({ ...options, guides: [constant] });
    expect(byDefault.images.data).toEqual(
      (await model.sample({ ...options, guides: [constant], guideForm: 'mean' })).images.data,
    );
    const moved = await model.sample({ ...options, guides: [constant], guideForm: 'score' });
    expect(maxDifference(moved.images.data, byDefault.images.data)).toBeGreaterThan(1e-3);
  });

  it('moves the jump to the data by the variance of the jump before, without noise', async () => {
    await using model = await load();
    const init = normals(elements, 3);
    const options = { sampler: 'ddpm', timesteps: [400, 200, 0], clip: 'none' } as const;
    const program = model.program({ ...options, variance: 'beta' });
    if (program.kind !== 'step') throw new Error('ddpm is a step program');
    const last = stepProgram(program.records.slice(-1));
    const unguided = await model.run(last, { init });
    const guided = await model.run(last, { init, guides: [constant], guideForm: 'mean' });
    const [noisier, cleaner] = [model.schedule.alphaBar(201), model.schedule.alphaBar(1)];
    const posterior = ((1 - noisier / cleaner) * (1 - cleaner)) / (1 - noisier);
    const expected = unguided.images.data.map((value, i) => value + posterior * pattern[i]!);
    expect(maxDifference(guided.images.data, expected)).toBeLessThan(1e-6);
    expect(maxDifference(guided.images.data, unguided.images.data)).toBeGreaterThan(1e-5);
    // The variance of `beta-tilde` is that of the posterior, which is 0 there.
    const quiet = model.program({ ...options, variance: 'beta-tilde' });
    if (quiet.kind !== 'step') throw new Error('ddpm is a step program');
    const alone = model.run(stepProgram(quiet.records.slice(-1)), { init, guides: [constant], guideForm: 'mean' });
    await expect(alone).rejects.toThrow(/samplers that add noise/);
  });

  it('is for samplers that add noise', () => {
    const quiet = stepProgram([stepRecord({ time: 1 })]);
    expect(() => guidedProgram(quiet, 'mean', () => 1)).toThrow(/samplers that add noise/);
  });
});

describe('a gradient at a scaled input', () => {
  const record = stepRecord({
    time: 1,
    prediction: { input: 2, output: -0.5 },
    store: { slot: 0, input: 0, data: 1 },
    x: { x: 1, y: 0, out: 3, history: [] },
    variance: { kind: 'scalar', deviation: 2 },
  });
  const guideOf = (inputScale: number, form: 'mean' | 'score') => {
    const program = stepProgram([{ ...record, inputScale }]);
    return guidedProgram(program, form, () => -0.9).records[0]?.guide;
  };

  it('is one at the state, times the scale', () => {
    // The data prediction is -0.5 of the output.
    const whole = guideOf(1, 'score')!;
    expect(whole.stored).toBeCloseTo(0.45, 12);
    expect(whole.x).toBeCloseTo(3 * -0.9, 12);
    const scaled = guideOf(0.25, 'score')!;
    expect([scaled.stored, scaled.x]).toEqual([whole.stored / 4, whole.x / 4]);
    expect([guideOf(1, 'mean')!.xVariance, guideOf(0.25, 'mean')!.xVariance]).toEqual([1, 0.25]);
  });

  it('is of the time that an output is of, for what uses it again', () => {
    const program = stepProgram([record, { ...record, evaluate: false, time: 7, inputScale: 3 }]);
    const { records } = guidedProgram(program, 'score', (time) => -0.9 * time);
    expect(records[1]!.guide).toEqual(records[0]!.guide);
  });
});

describe('guides', () => {
  it('see the samples of their batch, and add up', async () => {
    await using model = await load();
    const places: number[][] = [];
    const options = { sampler: 'ddim', steps: 3, count: 5, seed: 6, guideForm: 'score' } as const;
    const own: Guide = (x, t, first) => {
      places.push([first, t.length]);
      return Float32Array.from(x, (_, i) => (first + Math.floor(i / elements)) * pattern[i % elements]!);
    };
    const parts = await model.sample({ ...options, batch: 2, guides: [own] });
    expect(places.slice(0, 3)).toEqual([
      [0, 2],
      [0, 2],
      [0, 2],
    ]);
    expect(places.slice(-3)).toEqual([
      [4, 1],
      [4, 1],
      [4, 1],
    ]);
    const whole = await model.sample({ ...options, batch: 5, guides: [own] });
    expect(maxDifference(parts.images.data, whole.images.data)).toBeLessThan(1e-5);
    const progress: number[][] = [];
    const twice = await model.sample({
      ...options,
      batch: 2,
      guides: [own, (x, t, first) => own(x, t, first)],
      onProgress: (done, total) => progress.push([done, total]),
    });
    expect(progress.at(-1)).toEqual([15, 15]);
    const doubled = await model.sample({
      ...options,
      batch: 2,
      guides: [async (x, t, first) => (await own(x, t, first)).map((value) => 2 * value)],
    });
    expect(twice.images.data).toEqual(doubled.images.data);
  });

  it('go with given noise, grey levels, streams and classifier-free guidance', async () => {
    await using model = await load();
    const records = 4;
    const noise = normals(records * 3 * elements, 5);
    const options = { sampler: 'ddim', eta: 1, steps: records, count: 3, noise, seed: 6, guides: [constant] } as const;
    const whole = await model.sample({ ...options, batch: 3 });
    const parts = await model.sample({ ...options, batch: 2 });
    expect(maxDifference(parts.images.data, whole.images.data)).toBeLessThan(1e-5);
    const levels = await model.sample({ ...options, batch: 3, format: 'uint8' });
    expect(levels.images.toUint8()).toEqual(whole.images.toUint8());
    const { noise: _, ...seeded } = options;
    const drawn = await model.sample({ ...seeded, batch: 1 });
    for await (const { sample, image } of model.stream({ ...seeded, batch: 1 })) {
      const expected = drawn.images.data.slice(sample * elements, (sample + 1) * elements);
      expect(maxDifference(image.data, expected)).toBeLessThan(1e-5);
    }
    await using conditional = await DiffusionModel.load(packagePath('test/fixtures/unet/openai-adm-class'), {
      device: 'cpu',
    });
    const mixed = { sampler: 'ddim', steps: 3, classLabels: [1, 2], guidance: [2.5, 0], count: 2, seed: 3 } as const;
    const quiet = await conditional.sample({ ...mixed, guides: [(x) => new Float32Array(x.length)] });
    const plain = await conditional.sample(mixed);
    const size = Math.max(...plain.images.data.map(Math.abs));
    expect(maxDifference(quiet.images.data, plain.images.data)).toBeLessThan(1e-3 * size);
  });

  it('that make states infinite are told of, as levels too', async () => {
    await using model = await load();
    const guides = [(x: Float32Array) => x.map(() => 3e38)];
    for (const format of ['float32', 'uint8'] as const) {
      const run = model.sample({
        sampler: 'ddpm',
        steps: 2,
        count: 1,
        clip: 'none',
        format,
        guides,
        guideForm: 'score',
      });
      await expect(run).rejects.toMatchObject({ code: 'ERR_DPM_NOT_FINITE' });
    }
  });

  it('go with previews and snapshots', async () => {
    await using model = await load();
    const shown: Float32Array[] = [];
    const options = { sampler: 'ddim', steps: 3, count: 2, seed: 6, guides: [constant] } as const;
    const { images, snapshots } = await model.sample({
      ...options,
      snapshotEvery: 1,
      onPreview: (states, { record, first }) => {
        expect([record, first]).toEqual([shown.length + 1, 0]);
        shown.push(states.data);
      },
    });
    expect(images.data).toEqual((await model.sample(options)).images.data);
    expect(snapshots.map(({ images: states }) => states.data)).toEqual(shown);
    expect(shown.at(-1)).toEqual(images.data);
    expect(shown[0]).not.toEqual(shown[1]);
  });

  it.each<[string, object, string]>([
    ['a guide that is none', { guides: [3] }, 'guides'],
    ['another form', { guides: [constant], guideForm: 'median' }, 'guideForm'],
    ['a form without guides', { guideForm: 'mean' }, 'guides'],
    ['too few elements', { guides: [() => new Float32Array(3)] }, 'guide 0 returned 3 elements'],
    ['no array', { guides: [constant, () => null] }, 'guide 1 returned'],
    ['what is no number', { guides: [(x: Float32Array) => x.fill(NaN)] }, 'NaN at element 0'],
    ['an adaptive sampler', { sampler: 'dpm-solver-adaptive', guides: [constant] }, 'decide while they run'],
  ])('are refused with %s', async (_, options, message) => {
    await using model = await load();
    const all = { sampler: 'ddim', ...('sampler' in options ? {} : { steps: 2 }), ...options };
    await expect(model.sample(all as never)).rejects.toThrow(message);
    await expect(model.sample(all as never)).rejects.toBeInstanceOf(DpmError);
  });

  it('are refused by batchers, and for a program of each sample', async () => {
    await using model = await load();
    const program = model.program({ sampler: 'ddim', steps: 2 });
    await expect(model.run([program, program], { guides: [constant] })).rejects.toThrow('a program for each sample');
    await using batcher = await model.batcher({ rows: 2 });
    const guided = { sampler: 'ddim', steps: 2, guides: [constant] } as never;
    await expect(batcher.sample(guided)).rejects.toThrow('guides');
  });

  it('end with the signal, and pass on what a guide throws', async () => {
    await using model = await load();
    const controller = new AbortController();
    const stopped = model.sample({
      sampler: 'ddim',
      steps: 50,
      signal: controller.signal,
      guides: [
        (x) => {
          controller.abort();
          return x;
        },
      ],
    });
    await expect(stopped).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
    const failing: Guide = () => Promise.reject(new Error('no gradient today'));
    await expect(model.sample({ sampler: 'ddim', steps: 2, guides: [failing] })).rejects.toThrow('no gradient today');
  });
});

describe('the amplitudes of a network time', () => {
  it.each([
    ['linear', NoiseSchedule.linear(), [1, 2, 500, 1000]],
    ['cosine', NoiseSchedule.cosine(), [1, 300, 900]],
    ['vp', NoiseSchedule.vp(), [0.001, 0.3, 0.9]],
    ['ve', NoiseSchedule.ve(), [0.1, 0.5, 1]],
  ])('of %s are those of its times', (_, schedule, times) => {
    for (const time of times) {
      const found = amplitudesOfNetworkTime(schedule, schedule.networkTime(time));
      expect(found.sigma / Math.sqrt(schedule.betaBar(time))).toBeCloseTo(1, 9);
      expect(found.alpha / Math.sqrt(schedule.alphaBar(time))).toBeCloseTo(1, 9);
    }
  });
});
