// Linear variances that take nothing of a second output need none; those that do are refused where there is none.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DiffusionModel } from '../../../lib/model.js';
import { linear, stepProgram, stepRecord } from '../../../lib/program/builder.js';
import type { StepProgram } from '../../../lib/program/program.js';
import { runProgram } from '../../../lib/run/run-program.js';
import { maxDifference } from '../../support/golden.js';
import { interpret } from '../../support/interpreter.js';
import { initialRecord, normals } from '../../support/philox.js';
import { packagePath } from '../../support/temporary.js';

function withHead(head: number): StepProgram {
  const variance = {
    kind: 'linear',
    offset: 0.04,
    head,
    epsilonSquared: 0.5,
    epsilon: { input: 0.25, output: 0.5 },
    low: 0.05,
    high: 0.3,
  } as const;
  return stepProgram([
    stepRecord({ time: 700, x: linear({ x: 0.5, out: -0.25 }), variance }),
    stepRecord({ time: 300, x: linear({ x: 0.75, out: 0.5 }), variance }),
  ]);
}

const elements = 12;
const model = (x: Float32Array): Float32Array => x.map((value) => Math.sin(3 * value));
const options = { shape: [1, elements], seed: 5 };
const stream = (record: number): Float64Array => normals({ seed: [5, 0], sampleIndex: 0, record, draw: 0 }, elements);

describe('a linear variance', () => {
  it('takes nothing of a second output whose weight is 0', async () => {
    const found = await runProgram(withHead(0), { ...options, model });
    const expected = interpret(withHead(0), { out: (x) => Math.sin(3 * x) }, stream(initialRecord), stream);
    expect(maxDifference(found, expected)).toBeLessThan(1e-5);
  });

  it('is refused where its second output is missing', async () => {
    const run = runProgram(withHead(0.5), { ...options, model });
    await expect(run).rejects.toThrow(/reads a second output/);
  });

  describe('of a network without a head', () => {
    let network: DiffusionModel;
    beforeAll(async () => {
      network = await DiffusionModel.load(packagePath('models/mnist'), { device: 'cpu' });
    });
    afterAll(() => network.close());

    it('is run, or refused by what it reads', async () => {
      const { images } = await network.run(withHead(0), { seed: 1 });
      expect(images.data.every(Number.isFinite)).toBe(true);
      await expect(network.run(withHead(0.5), { seed: 1 })).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
    });
  });
});
