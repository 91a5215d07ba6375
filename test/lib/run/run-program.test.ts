import { getEventListeners } from 'node:events';

import { afterAll, describe, expect, it } from 'vitest';

import type { DpmError } from '../../../lib/base/errors.js';
import { Device } from '../../../lib/engine/device.js';
import { update } from '../../../lib/engine/update.js';
import { DiffusionModel } from '../../../lib/model.js';
import { linear, stepProgram, stepRecord } from '../../../lib/program/builder.js';
import type { HostProgram } from '../../../lib/program/program.js';
import type { Clip } from '../../../lib/program/record.js';
import type { Correction, ScriptModel } from '../../../lib/run/evaluator.js';
import { runProgram } from '../../../lib/run/run-program.js';
import { samplers, type SamplerName } from '../../../lib/samplers/index.js';
import type { SamplerOptions } from '../../../lib/samplers/options.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { exactSlope, generatedVariance, moments } from '../../support/gaussian.js';
import { golden, goldenCase, goldenModel, goldenMoments, maxDifference } from '../../support/golden.js';
import { hostDdim } from '../../support/host-ddim.js';
import { asSteps, interpret } from '../../support/interpreter.js';
import { initialRecord, normals } from '../../support/philox.js';
import { randomProgram } from '../../support/random-program.js';
import { packagePath } from '../../support/temporary.js';
import { until } from '../../support/until.js';

const device = Device.open({ device: 'cpu' });
afterAll(() => device.close());

const model = (x: Float32Array, t: number) => ({
  out: x.map((value, i) => goldenModel.out(value, t, i)),
  head: x.map((value, i) => goldenModel.head!(value, t, i)),
});

describe('published cases on the native update', () => {
  const schedule = NoiseSchedule.linear({ networkTime: 'index1' });
  const cases: [string, SamplerName, SamplerOptions][] = [
    ['ddpm-small-10', 'ddpm', { steps: 10, variance: 'beta-tilde', clip: 'static' }],
    ['ddim-eta0.5-12', 'ddim', { steps: 12, eta: 0.5, clip: 'static' }],
    ['analytic-ddpm-10', 'analytic-ddpm', { steps: 10, clip: 'static', gamma: goldenMoments }],
  ];

  it.each(cases)('%s', async (name, sampler, options) => {
    const { noise = [], expected } = goldenCase(name);
    const result = await runProgram(samplers[sampler](schedule, options), {
      device,
      shape: golden.shape,
      init: Float32Array.from(golden.x_T),
      noise: noise.map((slice) => Float32Array.from(slice)),
      model,
    });
    expect(maxDifference(result, expected)).toBeLessThan(1e-4);
  });
});

describe('runProgram', () => {
  it.each([1, 2, 3, 4, 5, 6])(
    'is the interpreter on a random program with the same random stream (%i)',
    async (seed) => {
      const program = randomProgram(seed, 10);
      const count = 97;
      const stream = (record: number) => normals({ seed: [seed, 0], sampleIndex: 1, record, draw: 0 }, count);
      const initial = stream(initialRecord).map((z) => program.initialScale * z);
      const expected = interpret(program, goldenModel, initial, (_, record) => stream(record));
      const result = await runProgram(program, { device, shape: [2, count], seed, model });
      const scale = Math.max(1, ...expected.map(Math.abs));
      expect(maxDifference(result.subarray(count), expected) / scale).toBeLessThan(1e-4);
    },
  );

  it('lets a correction change predictions', async () => {
    const schedule = NoiseSchedule.linear();
    const seen: number[] = [];
    await runProgram(samplers.ddim(schedule, { steps: 3 }), {
      device,
      shape: [1, 4],
      model: (x) => x,
      correct: (_x, t, prediction) => {
        seen.push(t);
        prediction.fill(0);
        return undefined;
      },
    });
    expect(seen).toEqual([999, 499, 0]);
  });

  it('reports progress and aborts between records', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const progress: [number, number][] = [];
    const run = runProgram(samplers.ddim(NoiseSchedule.linear(), { steps: 9 }), {
      device,
      shape: [3, 4],
      model: (x) => Promise.resolve(x),
      signal: controller.signal,
      onProgress: (done, total) => {
        progress.push([done, total]);
        if (done === 3) controller.abort(reason);
      },
    });
    await expect(run).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED', cause: reason });
    expect(progress).toEqual([
      [1, 9],
      [2, 9],
      [3, 9],
    ]);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });

  it('begins with the states that it was given, whatever becomes of them', async () => {
    const program = samplers.ddim(NoiseSchedule.linear(), { steps: 3 });
    const init = Float32Array.of(1, 2, 3, 4);
    const options = { device, shape: [1, 4], model: (x: Float32Array) => x.map((value) => 0.5 * value) };
    const expected = await runProgram(program, { ...options, init: init.slice() });
    const run = runProgram(program, { ...options, init });
    init.fill(NaN);
    expect(await run).toEqual(expected);
  });

  it('is aborted at once, whatever else its device is busy with', async () => {
    await using model = await DiffusionModel.load(packagePath('models/mnist'), { device });
    const controller = new AbortController();
    let asked = 0;
    const run = runProgram(samplers.ddim(NoiseSchedule.linear(), { steps: 3 }), {
      device,
      shape: [1, 4],
      model: () => {
        ++asked;
        return new Promise(() => undefined);
      },
      signal: controller.signal,
    });
    const outcome = run.catch((error: unknown) => (error as DpmError).code);
    await until(() => asked === 1);
    let isDone = false;
    const other = model.sample({ sampler: 'ddpm', steps: 1000, count: 16, seed: 1 }).finally(() => (isDone = true));
    const stopped = other.catch(() => undefined);
    controller.abort();
    expect(await outcome).toBe('ERR_DPM_ABORTED');
    expect(isDone).toBe(false);
    await model.close();
    await stopped;
  });

  it('ends with what its progress throws, though its model never answers again', async () => {
    const own = new RangeError('mine');
    let asked = 0;
    const run = runProgram(samplers.ddim(NoiseSchedule.linear(), { steps: 9 }), {
      device,
      shape: [1, 4],
      model: (x) => (++asked > 1 ? new Promise(() => undefined) : x),
      onProgress: () => {
        throw own;
      },
    });
    await expect(run).rejects.toBe(own);
  });

  it('refuses what does not fit', async () => {
    const program = samplers.ddim(NoiseSchedule.linear(), { steps: 3, eta: 1 });
    const run = (options: object) => runProgram(program, { device, shape: [1, 4], model: (x) => x, ...options });
    await expect(run({ init: new Float32Array(3) })).rejects.toMatchObject({ code: 'ERR_DPM_TENSOR_SHAPE' });
    await expect(run({ noise: [new Float32Array(4)] })).rejects.toThrow(/1 slices, the program adds noise 2 times/);
    await expect(run({ noise: [new Float32Array(3)] })).rejects.toMatchObject({ code: 'ERR_DPM_TENSOR_SHAPE' });
    await expect(run({ model: () => new Float32Array(2) })).rejects.toThrow(/2 elements as out/);
    await expect(run({ shape: [4] })).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
    await expect(run({ seed: -1 })).rejects.toThrow(/seed is -1/);
  });

  const solvers = [
    samplers.ddim(NoiseSchedule.linear(), { steps: 3 }),
    samplers['dpm-solver-adaptive'](NoiseSchedule.linear()),
  ];

  it.each([
    [
      () => [0, 0, 0, 0],
      /what the model returned is of type Array, .* a Float32Array of 4 elements, or \{ out, head \}/,
    ],
    [() => undefined, /what the model returned is of type Undefined/],
    [() => Promise.resolve(null), /what the model returned is of type Null/],
    [() => ({ head: new Float32Array(4) }), /what the model returned is of type Object/],
    [() => ({ out: [0, 0, 0, 0] }), /out is of type Array/],
    [() => ({ out: new Float32Array(4), head: 7 }), /head is of type Number/],
  ])('says what a model has to return: %s', async (wrong, message) => {
    for (const program of solvers) {
      const run = runProgram(program, { device, shape: [1, 4], model: wrong as unknown as ScriptModel });
      await expect(run).rejects.toThrow(message);
      await expect(run).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
    }
  });

  it('says what a correction has to return', async () => {
    const correct = (() => [0, 0, 0, 0]) as unknown as Correction;
    const run = runProgram(solvers[0]!, { device, shape: [1, 4], model: (x) => x, correct });
    await expect(run).rejects.toThrow(
      /what correct returned is of type Array, .* Float32Array of 4 elements, or nothing/,
    );
    await expect(run).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
  });

  it('brings what its functions throw as it was thrown', async () => {
    const own = Object.assign(new TypeError('mine'), { code: 'ERR_MINE' });
    const fail = (): never => {
      throw own;
    };
    const model = (x: Float32Array): Float32Array => x;
    for (const program of solvers) {
      for (const functions of [
        { model: fail },
        { model: () => Promise.reject(own) },
        { model, correct: fail },
        { model, onProgress: fail },
      ]) {
        await expect(runProgram(program, { device, shape: [1, 4], ...functions })).rejects.toBe(own);
      }
    }
  });

  it.each<[SamplerName, SamplerOptions]>([
    ['dpm-solver-adaptive', {}],
    ['probability-flow', { solver: 'rk45' }],
  ])('says that adaptive steps need finite predictions: %s', async (sampler, options) => {
    const program = samplers[sampler](NoiseSchedule.linear(), options);
    const broken = (x: Float32Array): Float32Array => x.map((value, i) => (i === 5 ? NaN : value));
    const run = runProgram(program, { device, shape: [2, 4], model: broken });
    await expect(run).rejects.toThrow(
      /of sample 1 is NaN: adaptive steps need initial states and predictions that are finite numbers/,
    );
    await expect(run).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
  });

  it('leaves the device free while it waits for a prediction', async () => {
    const program = samplers['dpm-solver++-2m'](NoiseSchedule.linear(), { steps: 5 });
    const init = Float32Array.from({ length: 8 }, (_, i) => Math.sin(i));
    const direct = await runProgram(program, {
      device,
      shape: [2, 4],
      init,
      model: (x) => x.map((value) => 0.5 * value),
    });
    const throughDevice = await runProgram(program, {
      device,
      shape: [2, 4],
      init,
      async model(x) {
        // The same device, while the run that asks holds its registers there.
        using tensor = device.tensor([2, 4]);
        await tensor.write(x);
        await update(stepRecord({ time: 0, x: linear({ x: 0.5 }) }), { x: tensor });
        return await tensor.read();
      },
    });
    expect(throughDevice).toEqual(direct);
  });

  it('asks for no prediction where a record does not evaluate', async () => {
    const evaluating = stepRecord({ time: 3, x: linear({ x: 1, out: 1 }) });
    const program = stepProgram([evaluating, { ...evaluating, evaluate: false }, evaluating], {});
    const times: number[] = [];
    const done: number[] = [];
    const states = await runProgram(program, {
      device,
      shape: [1, 2],
      init: Float32Array.of(0, 1),
      model: (x, t) => (times.push(t), new Float32Array(x.length).fill(2)),
      onProgress: (records) => done.push(records),
    });
    expect([times, done]).toEqual([
      [3, 3],
      [1, 2, 3],
    ]);
    expect(Array.from(states)).toEqual([6, 7]);
  });

  it('runs host programs', async () => {
    const schedule = NoiseSchedule.linear();
    const options = { device, shape: [3, 5], seed: 4, model: (x: Float32Array) => x.map((value) => 0.9 * value) };
    const expected = await runProgram(samplers.ddim(schedule, { steps: 6, clip: 'none' }), options);
    const result = await runProgram(hostDdim(schedule, 6), options);
    expect(maxDifference(result, expected)).toBeLessThan(1e-5);
  });
});

describe('a linear combination of a host program', () => {
  it.each<[Clip, number]>([
    [{ kind: 'dynamic', quantile: 1, floor: 1 }, 4],
    [{ kind: 'dynamic', quantile: 1, floor: 1, ceiling: 2.5 }, 2.5],
    [{ kind: 'dynamic', quantile: 1, floor: 5, ceiling: 3 }, 3],
  ])('is limited by %j', async (clip, limit) => {
    const init = Float32Array.of(-4, -2, 0.5, 3);
    const program: HostProgram = {
      kind: 'host',
      initialScale: 1,
      head: null,
      run: (context) => context.linearCombination('x', [[1, 'x']], clip),
    };
    const result = await runProgram(program, { device, shape: [1, 4], init, model: (x) => x });
    const expected = init.map((value) => Math.min(Math.max(value, -limit), limit) / limit);
    expect(maxDifference(result, expected)).toBeLessThan(1e-6);
  });

  it('takes any number of terms, and its target among them once', async () => {
    const factors = Array.from({ length: 20 }, (_, i) => i + 1);
    const program: HostProgram = {
      kind: 'host',
      initialScale: 1,
      head: null,
      async run(context) {
        for (const factor of factors) await context.linearCombination(`term ${factor}`, [[factor, 'x']]);
        const terms = factors.map((factor) => [1, `term ${factor}`] as const);
        await context.linearCombination('x', [[0.5, 'x'], ...terms]);
      },
    };
    const result = await runProgram(program, { device, shape: [1, 2], init: Float32Array.of(2, -4), model: (x) => x });
    expect([...result]).toEqual([2 * 210.5, -4 * 210.5]);
  });
});

describe('a hundred thousand samples of N(0, c)', () => {
  const schedule = NoiseSchedule.vpDiscrete();
  const c = 0.25;
  const count = 100_000;
  const exact = (x: Float32Array, t: number): Float32Array => {
    const slope = exactSlope(schedule, Math.round((t / 999) * 1000), c);
    return x.map((value) => slope * value);
  };

  it.each<[SamplerName, SamplerOptions]>([
    ['ddpm', { variance: 'beta' }],
    ['ddpm', { variance: 'beta-tilde' }],
    ['ddim', { eta: 0 }],
    ['ddim', { eta: 0.7 }],
    ['analytic-ddpm', { gamma: moments(schedule, c) }],
    ['analytic-ddim', { gamma: moments(schedule, c) }],
  ])('%s %j', async (sampler, options) => {
    const program = samplers[sampler](schedule, { steps: 10, clip: 'none', ...options });
    const x = await runProgram(program, { device, shape: [10, count / 10], seed: 11, model: exact });
    const expected = generatedVariance(schedule, asSteps(program), c);
    const mean = x.reduce((sum, value) => sum + value, 0) / count;
    const variance = x.reduce((sum, value) => sum + value * value, 0) / count;
    expect(Math.abs(mean)).toBeLessThan(5 * Math.sqrt(expected / count));
    expect(Math.abs(variance / expected - 1)).toBeLessThan(5 * Math.sqrt(2 / count));
  });
});

describe('a correction of the predictions', () => {
  const schedule = NoiseSchedule.linear();
  const shape = [2, 5];
  const base = (x: Float32Array, t: number) => x.map((value) => 0.5 * value + 1e-4 * t);
  // Change that a classifier's gradient would make.
  const shift = (x: Float32Array, t: number) => x.map((value) => 0.1 * Math.sin(value) * (1 + t / 1000));
  const corrected = (x: Float32Array, t: number) => {
    const change = shift(x, t);
    return base(x, t).map((value, i) => value - change[i]!);
  };

  it.each<[SamplerName, SamplerOptions]>([
    ['ddpm', { steps: 4 }],
    ['unipc', { steps: 4 }],
    ['dpm-solver-adaptive', {}],
  ])('is used by %s, in place or as a new array', async (sampler, options) => {
    const program = samplers[sampler](schedule, options);
    const expected = await runProgram(program, { shape, seed: 2, model: corrected });
    const replaced = await runProgram(program, {
      shape,
      seed: 2,
      model: base,
      correct(x, t, prediction) {
        const change = shift(x, t);
        return prediction.map((value, i) => value - change[i]!);
      },
    });
    const inPlace = await runProgram(program, {
      shape,
      seed: 2,
      model: base,
      correct(x, t, prediction) {
        shift(x, t).forEach((value, i) => (prediction[i] = prediction[i]! - value));
        return undefined;
      },
    });
    expect(replaced).toEqual(expected);
    expect(inPlace).toEqual(expected);
  });

  it('has to be as long as the prediction', async () => {
    const program = samplers.ddim(schedule, { steps: 2 });
    const run = runProgram(program, { shape, model: base, correct: () => new Float32Array(3) });
    await expect(run).rejects.toThrow(/3 elements as the corrected prediction for a state of 10/);
  });
});
