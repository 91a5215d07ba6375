// Facts about a run with classifier-free guidance before it runs, against the run itself.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DiffusionModel, guidedRows, takesUnconditionalLabel, type Batcher } from '../../../lib/index.js';
import { checkedGuidance, guidanceRecord } from '../../../lib/guidance/classifier-free.js';
import { linear, stepRecord } from '../../../lib/program/builder.js';
import { packRecord } from '../../../lib/program/pack.js';
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
  [{ guidance: 2, unconditionalLabel: -1 }, 'unconditionalLabel is -1'],
  [{ guidance: 2, unconditionalLabel: 0.5 }, 'unconditionalLabel is 0.5'],
  [{ unconditionalLabel: 1 }, 'unconditionalLabel is for guidance other than 1'],
])('refuses %j as a run does', async (options, message) => {
  expect(() => guidedRows(model.unet.info, options)).toThrow(message);
  await expect(model.sample({ ...request, count: 1, ...options })).rejects.toThrow(message);
});

it('has the label that is given, that of the family, or the last one', () => {
  const label = (unconditionalLabel?: number | null, ...standard: (number | null)[]): number | undefined =>
    checkedGuidance({ guidance: 2, unconditionalLabel }, { classes: 3 }, 1, ...standard)?.unconditionalLabel;
  expect([label(), label(0), label(2), label(null)]).toEqual([2, 0, 2, -1]);
  expect([label(undefined, 1), label(undefined, null), label(0, null), label(null, 1)]).toEqual([1, -1, 0, -1]);
});

it('takes weights as they are when the call is made', () => {
  const guidance = Float32Array.of(2, 3);
  const checked = checkedGuidance({ guidance }, { classes: 3 }, 2);
  guidance.fill(0);
  expect([...checked!.weights]).toEqual([2, 3]);
});

it('is the combination of both predictions', () => {
  // x is the conditional prediction, out the unconditional one: 3 x - 2 out.
  expect(guidanceRecord(3)).toEqual(packRecord(stepRecord({ time: 0, x: linear({ x: 3, out: -2 }) }), false));
});

it('refuses a network whose number of classes is none', () => {
  for (const classes of [-1, 0.5, NaN, 'all']) {
    expect(() => guidedRows({ classes: classes as number })).toThrow(/^classes is/);
  }
});

it('counts the rows of many samples without writing them down', () => {
  expect(guidedRows({ classes: 10 }, { count: 2 ** 40, guidance: 2 })).toBe(2 ** 41);
  expect(guidedRows({ classes: 0 })).toBe(1);
  expect(() => guidedRows({ classes: 0 }, { guidance: 2 })).toThrow(/needs a class-conditional network/);
});
