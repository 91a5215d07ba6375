// The CUDA device on its emulation, through the library: along the cpu's own trajectories, in every type.
import '../support/emulated-cuda.js';

import { afterAll,beforeAll,describe,expect,it } from 'vitest';

import { at } from '../../lib/base/arrays.js';
import { devices,type ComputeType } from '../../lib/engine/device.js';
import { DiffusionModel } from '../../lib/model.js';
import type { StepProgram } from '../../lib/program/program.js';
import { runProgram } from '../../lib/run/run-program.js';
import { samplers } from '../../lib/samplers/index.js';
import { maxDifference } from '../support/golden.js';
import { initialRecord,normals } from '../support/philox.js';
import { packagePath } from '../support/temporary.js';

const folder = packagePath('models/mnist');
const steps = 5;
const seed = 4;
const shape = [2, 1, 28, 28];

const scaleOf = (values: Float32Array): number => values.reduce((most, value) => Math.max(most, Math.abs(value)), 1);

interface Step {
  /** The cpu's state before the record, its prediction there, and its state after the record. */
  state: Float32Array;
  prediction: Float32Array;
  next: Float32Array;
}

/** Draws the noise of a record for both samples. */
function noiseOf(record: number): Float32Array {
  const draw = (sampleIndex: number): Float64Array =>
    normals({ seed: [seed, 0], sampleIndex, record, draw: 0 }, 28 * 28);
  return Float32Array.from([...draw(0), ...draw(1)]);
}

/** The cpu's own trajectory, record by record. */
async function trajectory(cpu: DiffusionModel, program: StepProgram): Promise<Step[]> {
  const init = noiseOf(initialRecord);
  const { snapshots } = await cpu.run(program, { count: 2, seed, init, snapshotEvery: 1 });
  const states = [init, ...snapshots.map(({ images }) => images.data)];
  const predict = async (state: Float32Array, i: number): Promise<Float32Array> =>
    (await cpu.unet.forward(state, at(program.records, i).time)).out;
  return Promise.all(
    program.records.map(async (_, i) => ({
      state: at(states, i),
      prediction: await predict(at(states, i), i),
      next: at(states, i + 1),
    })),
  );
}

describe('the emulated CUDA device', () => {
  let cpu: DiffusionModel;
  let path: Step[];
  let program: StepProgram;

  beforeAll(async () => {
    cpu = await DiffusionModel.load(folder, { device: 'cpu', exact: true });
    program = samplers['analytic-ddpm'](cpu.schedule, { steps, gamma: cpu.gamma! });
    path = await trajectory(cpu, program);
  });
  afterAll(() => cpu.close());

  it('is listed beside the others', () => {
    const cuda = devices().find(({ name }) => name === 'cuda:0');
    expect(cuda).toMatchObject({ usable: true, reason: '' });
    expect(cuda?.description).toMatch(/emulated device, compute capability 9\.0/);
  });

  it.each<[ComputeType, number]>([
    ['f32', 1e-4],
    ['f16', 5e-3],
    ['bf16', 3e-2],
  ])(
    'predicts what the cpu predicts along its trajectory, in %s',
    async (dtype, tolerance) => {
      await using cuda = await DiffusionModel.load(folder, { device: 'cuda', dtype });
      for (const [i, { state, prediction }] of path.entries()) {
        // The emulated card takes its time: the first record and the last of those in 16 bits.
        if (dtype !== 'f32' && i > 0 && i < steps - 1) continue;
        const { out } = await cuda.unet.forward(state, at(program.records, i).time);
        expect(maxDifference(out, prediction)).toBeLessThan(tolerance * scaleOf(prediction));
      }
    },
    120_000,
  );

  it('updates as the cpu does along its trajectory', async () => {
    await using cuda = await DiffusionModel.load(folder, { device: 'cuda', dtype: 'f32' });
    // Records run alone, from the cpu's own state and prediction, with the noise of their place in the program.
    for (const [i, { state, prediction, next }] of path.entries()) {
      const alone: StepProgram = { ...program, records: [at(program.records, i)] };
      const actual = await runProgram(alone, {
        device: cuda.device,
        shape,
        init: state,
        noise: noiseOf(i),
        model: () => Promise.resolve(prediction),
      });
      expect(maxDifference(actual, next)).toBeLessThan(1e-4 * scaleOf(next));
    }
  });

  it('samples what the cpu samples, watched or not', async () => {
    await using cuda = await DiffusionModel.load(folder, { device: 'cuda', dtype: 'f32' });
    const options = { count: 2, seed };
    const expected = (await cpu.run(program, options)).images.data;
    const whole = (await cuda.run(program, options)).images.data;
    expect(maxDifference(whole, expected)).toBeLessThan(1e-4 * scaleOf(expected));
    const levels = await cuda.run(program, { ...options, format: 'uint8' });
    expect(maxDifference(levels.images.data, whole)).toBeLessThan(Math.max(scaleOf(whole) - 1, 0) + 1 / 127);
    const told: number[] = [];
    const stepwise = await cuda.run(program, { ...options, onProgress: (done) => told.push(done) });
    expect(stepwise.images.data).toEqual(whole);
    expect(told.at(-1)).toBe(2 * steps);
  });

  it('counts its memory and gives it back', async () => {
    const cuda = await DiffusionModel.load(folder, { device: 'cuda', dtype: 'bf16' });
    await cuda.unet.forward(at(path, 0).state, 10);
    const { host, device, peakDevice } = cuda.memory();
    expect(host).toBe(0);
    expect(device).toBeGreaterThan(1e6);
    expect(peakDevice).toBeGreaterThanOrEqual(device);
    await cuda.close();
  });

  it('gives back what it keeps for the next run', async () => {
    await using cuda = await DiffusionModel.load(folder, { device: 'cuda', dtype: 'f32' });
    const options = { count: 2, seed };
    const expected = (await cuda.run(program, options)).images.data;
    const { device } = cuda.memory();
    await cuda.device.trim();
    expect(cuda.memory().device).toBeLessThan(device);
    expect((await cuda.run(program, options)).images.data).toEqual(expected);
    await cpu.device.trim();
    await cuda.close();
    await expect(cuda.device.trim()).rejects.toMatchObject({ code: 'ERR_DPM_CLOSED' });
  });

  it('takes f32 where exact or tf32 is asked for, and refuses contradictions', async () => {
    await (await DiffusionModel.load(folder, { device: 'cuda', exact: true })).close();
    await (await DiffusionModel.load(folder, { device: 'cuda', tf32: true })).close();
    await expect(DiffusionModel.load(folder, { device: 'cuda', exact: true, dtype: 'bf16' })).rejects.toMatchObject({
      code: 'ERR_DPM_UNSUPPORTED',
    });
    await expect(DiffusionModel.load(folder, { device: 'cuda', exact: true, tf32: true })).rejects.toThrow(
      /tf32 contradicts exact/,
    );
    await expect(DiffusionModel.load(folder, { device: 'cpu', autotune: true })).rejects.toThrow(/options of cuda/);
  });
});
