// Numbers that are none are told of, where they come in and where they come out.
import { runInNewContext } from 'node:vm';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Classifier } from '../../../lib/guidance/classifier.js';
import { DiffusionModel } from '../../../lib/model.js';
import type { HostProgram } from '../../../lib/program/program.js';
import { runProgram } from '../../../lib/run/run-program.js';
import { samplers } from '../../../lib/samplers/index.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { createBatcher } from '../../../lib/batch/create-batcher.js';
import { translate } from '../../../lib/translation/translate.js';
import { packagePath } from '../../support/temporary.js';

let model: DiffusionModel;
let classifier: Classifier;
beforeAll(async () => {
  model = await DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
  classifier = await Classifier.load(packagePath('models/mnist-classifier'), { device: model.device });
});
afterAll(async () => {
  await classifier.close();
  await model.close();
});

const run = { sampler: 'ddim', steps: 3, count: 2 } as const;
const constant = (value: number) => (x: Float32Array) => new Float32Array(x.length).fill(value);
const nothing = {
  code: 'ERR_DPM_NOT_FINITE',
  message: expect.stringMatching(/^sample \d+ ended as -?(NaN|Infinity): /) as string,
};
const hole = (): Float32Array => new Float32Array(2 * 784).fill(NaN, 800, 801);

describe('initial states that are no numbers', () => {
  const wrong = { code: 'ERR_DPM_ARGUMENT', message: 'init is NaN at element 800, it has to be finite' };
  it('are refused by runs', async () => {
    await expect(model.sample({ ...run, init: hole() })).rejects.toMatchObject(wrong);
    const program = samplers.ddim(model.schedule, { steps: 2 });
    const options = { shape: [2, 784], init: hole(), model: constant(0) };
    await expect(runProgram(program, options)).rejects.toMatchObject(wrong);
  });

  it('are refused by batchers', async () => {
    await using batcher = await model.batcher({ rows: 2 });
    await expect(batcher.sample({ ...run, init: hole() })).rejects.toMatchObject(wrong);
    expect((await batcher.sample(run)).images.count).toBe(2);
  });
});

describe('states that grow without bound', () => {
  it('are told of where guides move them', async () => {
    const guided = { ...run, guides: [constant(1e38)], clip: 'none' } as const;
    await expect(model.sample(guided)).rejects.toMatchObject(nothing);
    // Levels would hide it.
    await expect(model.sample({ ...guided, format: 'uint8' })).rejects.toMatchObject(nothing);
    const guides = [classifier.guide({ labels: 3, scale: 1e38 })];
    await expect(model.sample({ ...run, guides, clip: 'none' })).rejects.toThrow(/^the gradient of guide 0 is not /);
    const sum = {
      code: 'ERR_DPM_ARGUMENT',
      message: 'the sum of all guides is Infinity at element 0, it has to be finite',
    };
    await expect(model.sample({ ...run, guides: [constant(3e38), constant(3e38)] })).rejects.toMatchObject(sum);
  });

  it('are told of where a model makes them', async () => {
    const schedule = NoiseSchedule.linear({ steps: 100 });
    const program = samplers.ddim(schedule, { steps: 3, clip: 'none' });
    const options = { shape: [2, 4], model: constant(3e38) };
    await expect(runProgram(program, options)).rejects.toMatchObject(nothing);
    await using batcher = await createBatcher({ shape: [1, 2, 2], evaluate: constant(3e38), schedule });
    await expect(batcher.run(program)).rejects.toMatchObject(nothing);
  });

  it('are told of where samplers decide while they run, and sources are out of all bounds', async () => {
    const init = new Float32Array(784).fill(3e38);
    await expect(model.sample({ sampler: 'dpm-solver-adaptive', init })).rejects.toThrow();
    const way = { start: 0.1, stride: 50 };
    await expect(translate(model, init, way)).rejects.toMatchObject(nothing);
  });

  it('are told of by the number of the sample among all, whatever its batch', async () => {
    let asked = 0;
    const program: HostProgram = {
      kind: 'host',
      initialScale: 1,
      head: null,
      run: async (context) => {
        const norm = ++asked === 3 ? NaN : 1;
        await context.errorNorm('x', ['x', 'x'], () => norm);
      },
    };
    await expect(model.run(program, { count: 5, batch: 2 })).rejects.toThrow("the norm of 'x' of sample 4 is NaN");
  });
});

it('arrays of another realm are arrays', async () => {
  const other = runInNewContext('(x) => Float32Array.from(x, (value) => 0.1 * value)') as (
    x: Float32Array,
  ) => Float32Array;
  expect(other(new Float32Array(1))).not.toBeInstanceOf(Float32Array);
  const own = (x: Float32Array): Float32Array => Float32Array.from(x, (value) => 0.1 * value);
  const [theirs, ours] = [
    await model.sample({ ...run, guides: [other] }),
    await model.sample({ ...run, guides: [own] }),
  ];
  expect(theirs.images.data).toEqual(ours.images.data);
});
