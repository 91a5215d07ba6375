// Facts about a run with classifier-free guidance before it runs, against the run itself.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DiffusionModel, guidedRows, takesUnconditionalLabel, type Batcher } from '../../../lib/index.js';
import { packagePath } from '../../support/temporary.js';

let model: DiffusionModel;
let batcher: Batcher;

beforeAll(async () => {
  model = await DiffusionModel.load(packagePath('test/fixtures/unet/diffusers-adm'), { device: 'cpu' });
  batcher = await model.batcher({ rows: 4 });
});
afterAll(() => model.close());

const steps = 3;
const request = { sampler: 'ddim', steps, seed: 1, classLabels: 3, count: 2 } as const;

async function evaluationsOf(guidance: number | number[]): Promise<number> {
  for await (const event of batcher.stream({ ...request, guidance })) {
    if (event.type === 'done') return event.evaluations;
  }
  throw new Error('the stream has no end');
}

/** Weights are float32 numbers, of which this is 1. */
const almostOne = 1 + 1e-9;

describe.each<[number | number[], number]>([
  [1, 2],
  [0, 2],
  [2, 4],
  [almostOne, 2],
  [[1, 2], 3],
  [[0, 0], 2],
  [[1, 1], 2],
])('a run of two samples with guidance %j', (guidance, rows) => {
  it('takes the rows that are foretold', async () => {
    expect(guidedRows(model.unet.info, { count: 2, guidance })).toBe(rows);
    // A weight that float32 makes 1 is counted as it was given there.
    if (guidance !== almostOne) expect(await evaluationsOf(guidance)).toBe(rows * steps);
  });

  it('takes an unconditional label where that is foretold', async () => {
    const run = model.sample({ ...request, guidance, unconditionalLabel: 4 });
    if (takesUnconditionalLabel(guidance)) await expect(run).resolves.toBeDefined();
    else await expect(run).rejects.toThrow('unconditionalLabel is for guidance other than 1');
  });
});

it.each([
  [{ count: 2, guidance: [1, 2, 3] }, 'guidance has 3 weights for 2 samples'],
  [{ count: 2, guidance: [1, 1e39] }, 'a weight of guidance is'],
  [{ guidance: 2, unconditionalLabel: 10 }, 'unconditionalLabel is 10'],
  [{ unconditionalLabel: 1 }, 'unconditionalLabel is for guidance other than 1'],
])('refuses %j as a run does', async (options, message) => {
  expect(() => guidedRows(model.unet.info, options)).toThrow(message);
  await expect(model.sample({ ...request, count: 1, ...options })).rejects.toThrow(message);
});

it('counts the rows of many samples without writing them down', () => {
  expect(guidedRows({ classes: 10 }, { count: 2 ** 40, guidance: 2 })).toBe(2 ** 41);
  expect(guidedRows({ classes: 0 })).toBe(1);
  expect(() => guidedRows({ classes: 0 }, { guidance: 2 })).toThrow(/needs a class-conditional network/);
});
