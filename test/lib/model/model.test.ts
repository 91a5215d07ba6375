import { getEventListeners } from 'node:events';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { devices } from '../../../lib/engine/device.js';
import { estimateGamma } from '../../../lib/estimation/gamma-estimate.js';
import { DiffusionModel, type SampleOptions } from '../../../lib/model.js';
import { runProgram } from '../../../lib/run/run-program.js';
import { samplers } from '../../../lib/samplers/index.js';
import type { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { maxDifference } from '../../support/golden.js';
import { hostDdim } from '../../support/host-ddim.js';
import { packagePath } from '../../support/temporary.js';

const folder = packagePath('models/mnist');
const pixels = 28 * 28;

function toModelSpace(data: Float32Array, level: number, i: number): Float32Array {
  data[i] = level / 127.5 - 1;
  return data;
}

describe('the bundled model on the cpu', () => {
  let model: DiffusionModel;
  beforeAll(async () => {
    model = await DiffusionModel.load(folder, { device: 'cpu', exact: true });
  });
  afterAll(() => model.close());

  it('draws the same samples in every batch', async () => {
    const options = { sampler: 'analytic-ddpm', steps: 4, count: 5, seed: 3 } as const;
    const whole = await model.sample({ ...options, batch: 5 });
    const parts = await model.sample({ ...options, batch: 2 });
    expect(whole.images.shape).toEqual([5, 1, 28, 28]);
    expect(parts.images.data).toEqual(whole.images.data);
    const fewer = await model.sample({ ...options, count: 2 });
    expect(fewer.images.data).toEqual(whole.images.data.subarray(0, 2 * pixels));
  });

  it.each(['ancestral', 'dpm-solver-adaptive'] as const)('draws those of a seed from any on: %s', async (sampler) => {
    const options = { ...(sampler === 'ancestral' ? { sampler, steps: 3 } : { sampler }), seed: 7 };
    const whole = await model.sample({ ...options, count: 5 });
    const last = await model.sample({ ...options, count: 2, first: 3, batch: 1 });
    expect(last.images.data).toEqual(whole.images.data.subarray(3 * pixels));
    const first = 2 ** 32 - 1;
    await expect(model.sample({ ...options, first })).resolves.toBeDefined();
    for (const wrong of [{ first: -1 }, { first: 0.5 }, { first: 2 ** 32 }, { first, count: 2 }]) {
      await expect(model.sample({ ...options, ...wrong })).rejects.toMatchObject({
        code: 'ERR_DPM_ARGUMENT',
        message: expect.stringContaining('first') as string,
      });
    }
  });

  it('runs different programs in one batch as it runs them alone', async () => {
    const programs = [
      samplers.ddim(model.schedule, { steps: 3 }),
      samplers.ddpm(model.schedule, { steps: 5 }),
      samplers['analytic-ddim'](model.schedule, { steps: 4, gamma: model.gamma! }),
    ];
    const mixed = await model.run(programs, { seed: 5, batch: 3 });
    for (const [i, program] of programs.entries()) {
      const alone = await model.run(program, { count: 3, seed: 5, batch: 3 });
      const own = (data: Float32Array): Float32Array => data.subarray(i * pixels, (i + 1) * pixels);
      expect(own(mixed.images.data)).toEqual(own(alone.images.data));
    }
  });

  it('is what runProgram makes of the same network', async () => {
    const program = samplers.ddpm(model.schedule, { steps: 3 });
    const native = await model.run(program, { count: 2, seed: 8 });
    const scripted = await runProgram(program, {
      device: model.device,
      shape: [2, 1, 28, 28],
      seed: 8,
      model: async (x, t) => (await model.unet.forward(x, t)).out,
    });
    expect(maxDifference(scripted, native.images.data)).toBeLessThan(1e-5);
  });

  it('tells the program that a sampler comes to', async () => {
    const options = { sampler: 'analytic-ddpm', steps: 4, seed: 3, count: 2 } as const;
    const program = model.program(options);
    expect(program.kind === 'step' && program.records.filter(({ evaluate }) => evaluate)).toHaveLength(4);
    const { images } = await model.run(program, { seed: 3, count: 2 });
    expect(images.data).toEqual((await model.sample(options)).images.data);
    expect(() => model.program({ sampler: 'ddim', order: 2 })).toThrow(/order/);
    expect(() => model.program(null as never)).toThrow(expect.objectContaining({ code: 'ERR_DPM_ARGUMENT' }) as Error);
  });

  it('brings grey levels where they are asked for', async () => {
    const options = { sampler: 'ddim', steps: 2, count: 3, seed: 3, snapshotEvery: 1 } as const;
    const floats = await model.sample(options);
    const levels = await model.sample({ ...options, format: 'uint8' });
    expect(levels.images.toUint8()).toEqual(floats.images.toUint8());
    expect(levels.images.data).toEqual(levels.images.toUint8().reduce(toModelSpace, new Float32Array(3 * pixels)));
    expect(levels.snapshots.map(({ images }) => images.toUint8())).toEqual(
      floats.snapshots.map(({ images }) => images.toUint8()),
    );
    const host = await model.run(hostDdim(model.schedule, 2), { count: 3, seed: 3, format: 'uint8' });
    expect(host.images.toUint8().length).toBe(3 * pixels);
    await expect(model.sample({ ...options, format: 'int8' as 'uint8' })).rejects.toThrow(/format 'int8' is unknown/);
  });

  it('takes black and white from a network that centres its input itself', async () => {
    await using own = await DiffusionModel.load(packagePath('test/fixtures/unet/score-sde-ddpm'), { device: 'cpu' });
    expect([own.range, model.range]).toEqual([
      [0, 1],
      [-1, 1],
    ]);
    expect(own.schedule.defaults.clip).toEqual({ kind: 'static', low: 0, high: 1 });
    const options = { sampler: 'ddim', steps: 2, seed: 3, snapshotEvery: 1 } as const;
    const [floats, levels] = [await own.sample(options), await own.sample({ ...options, format: 'uint8' })];
    const expected = Uint8Array.from(floats.images.data, (x) => Math.min(Math.max(255 * x, 0), 255) + 0.5);
    expect(levels.images.toUint8()).toEqual(expected);
    expect(levels.snapshots[0]!.images.toUint8()).toEqual(floats.snapshots[0]!.images.toUint8());
  });

  it('runs host programs in batches', async () => {
    const options = { count: 3, seed: 2, batch: 2 };
    const host = await model.run(hostDdim(model.schedule, 3), options);
    const step = await model.run(samplers.ddim(model.schedule, { steps: 3, clip: 'none' }), options);
    const scale = Math.max(1, ...step.images.data.map(Math.abs));
    expect(maxDifference(host.images.data, step.images.data) / scale).toBeLessThan(1e-4);
  });

  it('keeps snapshots and reports progress', async () => {
    const progress: number[] = [];
    const { snapshots, images } = await model.sample({
      sampler: 'ddim',
      steps: 4,
      count: 2,
      snapshotEvery: 2,
      onProgress: (done, total) => {
        expect(total).toBe(8);
        progress.push(done);
      },
    });
    expect(snapshots.map(({ record }) => record)).toEqual([2, 4]);
    expect(snapshots[1]!.images.data).toEqual(images.data);
    expect(progress.at(-1)).toBe(8);
  });

  it('reports progress of host programs over all batches', async () => {
    const reports: [number, number][] = [];
    const onProgress = (done: number, total: number): void => {
      reports.push([done, total]);
    };
    await model.run(hostDdim(model.schedule, 2), { count: 3, batch: 2, onProgress });
    expect(reports).toEqual([
      [2, 6],
      [4, 6],
      [5, 6],
      [6, 6],
    ]);
    reports.length = 0;
    const tolerances = { atol: 1, rtol: 1 };
    await model.sample({ sampler: 'dpm-solver-adaptive', ...tolerances, count: 2, batch: 1, onProgress });
    const done = reports.map(([each]) => each);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(new Set(reports.map(([, total]) => total))).toEqual(new Set([200]));
    expect(done.filter((each) => each < 100).length).toBeGreaterThan(0);
    expect(done.at(-1)).toBe(200);
  });

  it('refuses null', async () => {
    const given = (options: unknown) => model.sample(options as SampleOptions);
    const refused = (message: RegExp) => ({
      code: 'ERR_DPM_ARGUMENT',
      message: expect.stringMatching(message) as string,
    });
    await expect(given(null)).rejects.toMatchObject(refused(/the argument of sample is null/));
    await expect(given({ sampler: 'ddim', steps: 2, clip: null })).rejects.toMatchObject(refused(/ddim: clip is null/));
    const analytic = { sampler: 'analytic-ddpm', steps: 2, gamma: null };
    await expect(given(analytic)).rejects.toMatchObject(refused(/analytic-ddpm: gamma is null/));
    for (const sampler of [
      'ddim',
      'analytic-ddpm',
      'dpm-solver-2m',
      'euler-maruyama',
      'dpm-solver-adaptive',
    ] as const) {
      const compile: (schedule: NoiseSchedule, options: never) => unknown = samplers[sampler];
      expect(() => compile(model.schedule, null as never)).toThrow(
        expect.objectContaining(refused(RegExp(`${sampler}: options is null`))),
      );
      expect(() => compile(model.schedule, { clip: null } as never)).toThrow(
        expect.objectContaining(refused(RegExp(`${sampler}: clip is null`))),
      );
    }
    expect((await given({ sampler: 'ancestral', steps: 1, lastNoiseClip: null })).images.shape[0]).toBe(1);
  });

  it('starts from init and takes explicit noise', async () => {
    const init = new Float32Array(pixels).fill(0.3);
    const noise = [1, 2].map(() => new Float32Array(pixels));
    const options = { sampler: 'ddpm', steps: 3, init, noise } as const;
    const first = await model.sample({ ...options, seed: 1 });
    const second = await model.sample({ ...options, seed: 2 });
    expect(second.images.data).toEqual(first.images.data);
    await expect(model.sample({ ...options, noise: noise.slice(1) })).rejects.toMatchObject({
      code: 'ERR_DPM_TENSOR_SHAPE',
    });
    await expect(model.sample({ ...options, count: 2 })).rejects.toThrow(/init has 784 elements/);
  });

  it('aborts a run that is under way', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const work = model.sample({
      sampler: 'ddim',
      steps: 900,
      count: 4,
      signal: controller.signal,
      onProgress: () => {
        controller.abort(reason);
      },
    });
    await expect(work).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED', cause: reason });
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    await expect(model.sample({ sampler: 'ddim', steps: 2, signal: AbortSignal.abort('no') })).rejects.toMatchObject({
      cause: 'no',
    });
    expect((await model.sample({ sampler: 'ddim', steps: 2 })).images.shape[0]).toBe(1);
  });

  it('says what its weights take', () => {
    const { parameters, weightBytes } = model.unet.info;
    expect(weightBytes).toBeGreaterThanOrEqual(4 * parameters);
    expect(weightBytes).toBeLessThan(8 * parameters);
  });

  it('estimates moments near the stored ones', async () => {
    const { images } = await model.sample({ sampler: 'ddim', steps: 20, count: 12, seed: 6 });
    const stored = model.gamma!.m;
    const table = await estimateGamma(model, images.data, { samples: 12, seed: 1, timesteps: [300, 600, 1000] });
    expect(table).toMatchObject({ schedule: 'linear', numTrainTimesteps: 1000, imagesPerStep: 12 });
    for (const n of [300, 600, 1000]) expect(Math.abs(table.m[n]! / stored[n]! - 1)).toBeLessThan(0.05);
    expect(table.m[450]).toBeCloseTo((table.m[300]! + table.m[600]!) / 2, 12);
    await expect(estimateGamma(model, images.data, { samples: 13 })).rejects.toThrow(/12 images/);
  });

  it('refuses options it cannot take', async () => {
    await expect(model.sample({ sampler: 'ddpm', steps: 3, variance: 'learned' })).rejects.toThrow(/2 output channels/);
    await expect(model.sample({ sampler: 'ddim', steps: 3, classLabels: 1 })).rejects.toThrow(/not class-conditional/);
    await expect(model.sample({ sampler: 'ddim', steps: 3, count: 0 })).rejects.toThrow(/count is 0/);
    await expect(model.run([])).rejects.toThrow(/at least one program/);
    for (const options of [{ dtype: 'f16' }, { dtype: 'bf16', exact: true }] as const) {
      await expect(DiffusionModel.load(folder, { device: 'cpu', ...options })).rejects.toMatchObject({
        code: 'ERR_DPM_UNSUPPORTED',
      });
    }
  });
});

describe('bfloat16', () => {
  const processor = devices().find((device) => device.name === 'cpu')!.description;
  const able = /^(amx|avx512bf16),/.test(processor);

  it.runIf(able)('is near float32, and not equal to it', async () => {
    const x = Float32Array.from({ length: pixels }, (_, i) => Math.sin(i));
    await using exact = await DiffusionModel.load(folder, { device: 'cpu', exact: true });
    await using rounded = await DiffusionModel.load(folder, { device: 'cpu', dtype: 'bf16' });
    const expected = (await exact.unet.forward(x, 100)).out;
    const { out } = await rounded.unet.forward(x, 100);
    const size = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    expect(maxDifference(out, expected) / size).toBeGreaterThan(1e-4);
    expect(maxDifference(out, expected) / size).toBeLessThan(3e-2);
    const difference = Math.hypot(...out.map((value, i) => value - expected[i]!));
    expect(difference / Math.hypot(...expected)).toBeLessThan(2e-2);
  });

  it.runIf(!able)('is refused by a processor that would be slower with it', async () => {
    await expect(DiffusionModel.load(folder, { device: 'cpu', dtype: 'bf16' })).rejects.toMatchObject({
      code: 'ERR_DPM_UNSUPPORTED',
    });
  });
});

describe('variance heads', () => {
  it.each(['npr', 'sn'] as const)('%s agrees on both devices', async (head) => {
    const x = Float32Array.from({ length: pixels }, (_, i) => Math.sin(i));
    const outputs: Float32Array[] = [];
    for (const device of ['cpu', 'reference']) {
      await using model = await DiffusionModel.load(folder, { device, head, exact: true });
      const result = await model.unet.forward(x, 100);
      outputs.push(result.head!);
    }
    expect(outputs[0]!.some((value) => value !== 0)).toBe(true);
    expect(maxDifference(outputs[0]!, outputs[1]!)).toBeLessThan(2e-5);
  });
});

describe('closing', () => {
  it('rejects queued work, and can be repeated', async () => {
    const model = await DiffusionModel.load(folder, { device: 'cpu' });
    expect(model.memory().host).toBeGreaterThan(0);
    const work = model.sample({ sampler: 'ddim', steps: 900, count: 4 });
    const rejection = expect(work).rejects.toMatchObject({
      code: expect.stringMatching(/ERR_DPM_(CLOSED|ABORTED)/) as string,
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    await model.close();
    await rejection;
    await model.close();
    await expect(model.sample({ sampler: 'ddim', steps: 2 })).rejects.toMatchObject({ code: 'ERR_DPM_CLOSED' });
  });
});
