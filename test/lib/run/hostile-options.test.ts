// Values that plain JavaScript gives: each is refused by name and with a code, and errors of the caller's reach the caller.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  DiffusionModel,
  NoiseSchedule,
  packRecords,
  RECORD_BYTES,
  runProgram,
  samplers,
  stepProgram,
  stepRecord,
  type HostContext,
} from '../../../lib/index.js';
import { hostDdim } from '../../support/host-ddim.js';
import { packagePath } from '../../support/temporary.js';

const linear = NoiseSchedule.linear();
const program = samplers.ddim(linear, { steps: 2 });
const pixels = 28 * 28;
let model: DiffusionModel;

beforeAll(async () => {
  model = await DiffusionModel.load(packagePath('models/mnist'), { device: 'cpu' });
});
afterAll(() => model.close());

const refused = (message: RegExp): object => ({
  code: 'ERR_DPM_ARGUMENT',
  message: expect.stringMatching(message) as string,
});

describe('options of a run', () => {
  it.each<[object, RegExp]>([
    [{ count: '3' }, /count is "3", it has to be a positive integer/],
    [{ batch: true }, /batch is true/],
    [{ snapshotEvery: '1' }, /snapshotEvery is "1"/],
    [{ seed: '1' }, /seed is "1", it has to be an integer from 0 to 2\^53 - 1, or a bigint below 2\^64/],
    [{ classLabels: {} }, /classLabels is \{\}/],
    [{ guidance: null }, /guidance is null, it has to be a number or an array of numbers/],
    [{ unconditionalLabel: '1' }, /unconditionalLabel is "1"/],
    [{ init: null }, /init is null, it has to be a Float32Array/],
    [{ init: new Float64Array(pixels) }, /init is .*it has to be a Float32Array/],
    [{ noise: 5 }, /noise is 5, it has to be a Float32Array or an array of such/],
    [{ noise: [[1]] }, /noise is \[\[1\]\]/],
    [{ format: 8 }, /format is 8/],
    [{ signal: {} }, /signal is \{\}, it has to be an AbortSignal/],
    [{ onProgress: 'log' }, /onProgress is "log", it has to be a function/],
    [{ guidance: Symbol('w') }, /guidance is Symbol\(w\)/],
  ])('%o', async (options, message) => {
    await expect(model.run(program, options)).rejects.toMatchObject(refused(message));
    const wrong = { sampler: 'ddim', steps: 2, ...options } as never;
    await expect(model.sample(wrong)).rejects.toMatchObject(refused(message));
  });

  it.each<[unknown, object, RegExp]>([
    [null, {}, /the program is null, it has to be one of a sampler's/],
    [{}, {}, /the program is \{\}/],
    [program, { model: undefined }, /model is missing/],
    [program, { model: 5 }, /model is 5, it has to be a function/],
    [program, { shape: 4 }, /shape is 4, it has to be an array of sizes/],
    [program, { correct: 1 }, /correct is 1/],
    [program, { init: [1] }, /init is \[1\]/],
    [program, { signal: 3 }, /signal is 3/],
  ])('of runProgram: %o %o', async (given, options, message) => {
    const all = { shape: [1, 1], model: (x: Float32Array) => x, ...options } as never;
    await expect(runProgram(given as never, all)).rejects.toMatchObject(refused(message));
  });

  it('of a program that is none', async () => {
    await expect(model.run(null as never)).rejects.toMatchObject(refused(/the program is null/));
    await expect(model.run([program, 7] as never)).rejects.toMatchObject(refused(/the program is 7/));
  });
});

describe('options of a sampler', () => {
  it.each<[object, RegExp]>([
    [{ steps: '20' }, /steps is "20", it has to be an integer/],
    [{ steps: true }, /steps is true/],
    [{ steps: 1n }, /steps is 1/],
    [{ timesteps: 5 }, /timesteps is 5, it has to be an array/],
    [{ steps: 3, eta: '1' }, /eta is "1", it has to be from 0 to 1/],
    [{ steps: 3, tStart: NaN }, /tStart is NaN, it has to be a number/],
    [{ steps: 3, clip: { kind: 'dyanmic' } }, /clip has to be 'none', 'static' or/],
    [{ steps: 3, clip: { dynamic: 0.9, flor: 2 } }, /clip has no option 'flor' \(did you mean 'floor'\?\)/],
    [{ steps: 3, prediction: Symbol('v') }, /prediction Symbol\(v\) is unknown/],
    [{ levels: 3 }, /levels is 3, it has to be an array of noise levels/],
    [{ levels: [3, 4] }, /an entry of levels is 3, it has to be an object/],
    [{ steps: 3, lastNoiseClip: 'no' }, /lastNoiseClip is "no"/],
  ])('%o', (options, message) => {
    expect(() => samplers.ddim(linear, options)).toThrow(expect.objectContaining(refused(message)));
  });

  it('and tables of it', () => {
    const compile = (options: object) => () => samplers['analytic-ddpm'](linear, options);
    expect(compile({ steps: 3, gamma: 5 })).toThrow(
      expect.objectContaining(refused(/gamma is 5, it has to be an object/)),
    );
    const corrector: object = { steps: 3, disableCorrector: 1 };
    expect(() => samplers.unipc(linear, corrector)).toThrow(expect.objectContaining(refused(/disableCorrector is 1/)));
  });
});

describe('defaults of a schedule', () => {
  it.each<[object, RegExp]>([
    [{ prediction: 'velocity' }, /prediction of a schedule's defaults 'velocity' is unknown; use one of epsilon/],
    [{ variance: 'small' }, /variance of a schedule's defaults 'small' is unknown/],
    [
      { clip: { kind: 'dyanmic' } },
      /a schedule's defaults: clip\.kind is "dyanmic", it has to be one of none, static, dynamic/,
    ],
  ])('%o', (defaults, message) => {
    expect(() => NoiseSchedule.linear({ defaults })).toThrow(expect.objectContaining(refused(message)));
  });
});

describe('records', () => {
  it.each<[object, RegExp]>([
    [{ read: 'z' }, /record 0: read is "z", it has to be one of x, y/],
    [{ evaluate: 1 }, /evaluate is 1/],
    [{ clip: { kind: 'hard' } }, /clip\.kind is "hard"/],
    [{ variance: { kind: 'big' } }, /variance\.kind is "big"/],
    [{ prediction: null }, /prediction is null, it has to be an object/],
    [{ store: undefined }, /store is undefined/],
    [{ x: undefined }, /x is undefined, it has to be an object/],
    [{ y: 0 }, /y is 0, it has to be an object/],
    [{ x: { x: 1, y: 0, out: 0 } }, /x\.history is undefined, it has to be an array/],
    [{ inputScale: '1' }, /inputScale is "1", it has to be a finite float32 number/],
  ])('%o', (fields, message) => {
    const record = { ...stepRecord({ time: 1 }), ...fields } as never;
    expect(() => stepProgram([record])).toThrow(expect.objectContaining(refused(message)));
    const whole = { kind: 'step', records: [record], history: 1, initialScale: 1, head: null } as never;
    expect(() => packRecords(whole)).toThrow(expect.objectContaining(refused(message)));
  });

  it('that are none', () => {
    expect(() => packRecords({} as never)).toThrow(expect.objectContaining(refused(/its records are no array/)));
    expect(() => packRecords(null as never)).toThrow(expect.objectContaining(refused(/the step program is null/)));
    const none = { kind: 'step', records: [null], history: 1, initialScale: 1, head: null } as never;
    expect(() => packRecords(none)).toThrow(expect.objectContaining(refused(/record 0: it is null, not a record/)));
  });
});

describe('numbers that are none', () => {
  const init = new Float32Array(pixels);

  it('are refused in noise, wherever they stand', async () => {
    for (const wrong of [NaN, Infinity, -Infinity]) {
      const noise = new Float32Array(pixels);
      noise[500] = wrong;
      const run = model.sample({ sampler: 'ancestral', steps: 2, noise });
      await expect(run).rejects.toMatchObject(refused(/noise is -?(NaN|Infinity) at element 500/));
      const slices = model.sample({ sampler: 'ancestral', steps: 2, noise: [init, noise] });
      await expect(slices).rejects.toMatchObject(refused(/noise is/));
      const options = { shape: [1, pixels], model: (x: Float32Array) => x, noise };
      await expect(runProgram(program, options)).rejects.toMatchObject(refused(/noise is/));
    }
  });

  it('are refused as times and labels, which are not rounded either', async () => {
    for (const time of [NaN, Infinity, 1e39, '3', null]) {
      await expect(model.unet.forward(init, [time as number])).rejects.toMatchObject(refused(/t\[0\] is/));
    }
    const host = { kind: 'host', initialScale: 1, head: null } as const;
    const run = (context: HostContext): Promise<void> => context.evaluate('x', NaN, 'out');
    const scripted = { shape: [2, 1], model: (x: Float32Array) => x };
    await expect(runProgram({ ...host, run }, scripted)).rejects.toMatchObject(refused(/the time of evaluate is NaN/));
    const one = (context: HostContext): Promise<void> => context.evaluate('x', [1], 'out');
    const short = runProgram({ ...host, run: one }, scripted);
    await expect(short).rejects.toMatchObject(refused(/a number, or one for each of 2 samples/));
  });

  it('are refused as limits of clips of a schedule', () => {
    for (const clip of [
      { kind: 'static', low: NaN, high: 1 },
      { kind: 'dynamic', quantile: 2, floor: 1 },
    ]) {
      expect(() => linear.with({ defaults: { clip } as never })).toThrow(
        expect.objectContaining({ code: 'ERR_DPM_ARGUMENT' }),
      );
    }
  });
});

describe('many records', () => {
  it('are one program: 150,000 of them', () => {
    const records = Array.from({ length: 150_000 }, (_, time) => stepRecord({ time }));
    expect(packRecords(stepProgram(records))).toHaveLength(150_000 * RECORD_BYTES);
  });
});

describe('sizes beyond the memory of the machine', () => {
  const tooLarge = { code: 'ERR_DPM_OUT_OF_MEMORY' };

  it('are refused before anything is made', async () => {
    const started = performance.now();
    for (const count of [30_000_000, 2 ** 33, Number.MAX_SAFE_INTEGER]) {
      await expect(model.run(program, { count })).rejects.toMatchObject(tooLarge);
      await expect(model.run(program, { count, classLabels: 0 })).rejects.toMatchObject(tooLarge);
      await expect(model.sample({ sampler: 'ddim', steps: 2, count, format: 'uint8' })).rejects.toMatchObject(tooLarge);
    }
    for (const shape of [
      [2 ** 31, 28, 28],
      [1e15, 1e15],
    ]) {
      await expect(runProgram(program, { shape, model: (x) => x })).rejects.toMatchObject(tooLarge);
    }
    const many = runProgram(program, { shape: [1e8, 1], model: (x) => x });
    await expect(many).rejects.toMatchObject(refused(/the batch of shape is 100000000, it has to be at most 65536/));
    await expect(model.run(program, { count: 30_000_000 })).rejects.toThrow(
      /count is 30000000: that takes 87\.6 GiB, one call may take .* GiB here; make it in parts/,
    );
    expect(performance.now() - started).toBeLessThan(60_000);
  });
});

describe('what onProgress throws', () => {
  it.each([
    ['a program of records', () => program],
    ['a host program', () => hostDdim(linear, 2)],
  ])('rejects a run of %s with it', async (_, made) => {
    const failure = new RangeError('the listener is broken');
    const onProgress = (): void => {
      throw failure;
    };
    await expect(model.run(made(), { onProgress })).rejects.toBe(failure);
    expect((await model.run(made())).images.shape[0]).toBe(1);
  });
});

describe('arrays of the caller', () => {
  it('are read at the call', async () => {
    const noisy = samplers.ddpm(linear, { steps: 2 });
    const init = new Float32Array(pixels).fill(0.5);
    const noise = new Float32Array(pixels).fill(0.1);
    const expected = await model.run(noisy, { init: init.slice(), noise: noise.slice() });
    const run = model.run(noisy, { init, noise });
    init.fill(NaN);
    noise.fill(NaN);
    expect((await run).images.data).toEqual(expected.images.data);
  });
});
