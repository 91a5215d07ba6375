// A run of a program that decides while it runs, in batches: what is given for all samples reaches each, and progress is over all of them.
import { describe, expect, it } from 'vitest';

import { DiffusionModel, samplers } from '../../../lib/index.js';
import { overallProgress } from '../../../lib/run/overall-progress.js';
import { Random } from '../../support/random.js';
import { packagePath } from '../../support/temporary.js';

function normals(count: number): Float32Array {
  const random = new Random(3);
  return Float32Array.from({ length: count }, () => random.normal());
}

describe('progress over batches', () => {
  const told = (count: number, report: (progress: ReturnType<typeof overallProgress>) => void): number[][] => {
    const all: number[][] = [];
    report(overallProgress(count, (done, total) => all.push([done, total])));
    return all;
  };

  it('counts the samples that are done before', () => {
    const all = told(5, (progress) => {
      progress(0, 2)(1, 4);
      progress(0, 2)(4, 4);
      progress(2, 2)(2, 4);
      progress(4, 1)(4, 4);
    });
    expect(all).toEqual([2, 8, 12, 20].map((done) => [done, 20]));
  });

  it('does not go back, where a program finds that it has more to do, nor beyond the end', () => {
    const all = told(2, (progress) => {
      progress(0, 2)(3, 4);
      progress(0, 2)(3, 8);
      progress(0, 2)(9, 8);
      progress(0, 2)(0, 0);
    });
    expect(all).toEqual([6, 6, 8, 8].map((done) => [done, 8]));
  });
});

it('given noise belongs to its samples in every batch', async () => {
  await using model = await DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
  const count = 3;
  const program = samplers['predictor-corrector'](model.schedule.continuous(), { steps: 4 });
  const slice = count * 28 * 28;
  const noise = normals(40 * slice);
  const init = normals(slice);
  const sampled = async (batch: number): Promise<Float32Array> =>
    (await model.run(program, { count, batch, init, noise })).images.data;
  const together = await sampled(count);
  expect(await sampled(1)).toEqual(together);
  expect(await sampled(2)).toEqual(together);
  // The noise is what makes them.
  const other = (await model.run(program, { count, init, noise: noise.map((value) => -value) })).images.data;
  expect(other).not.toEqual(together);
});

it('labels, weights and noise of the seed belong to their samples in every batch', async () => {
  const path = packagePath('test/fixtures/unet/diffusers-adm');
  await using model = await DiffusionModel.load(path, { device: 'cpu', threads: 1 });
  const program = samplers['predictor-corrector'](model.schedule.continuous(), { steps: 4 });
  const [classLabels, guidance] = [
    [3, 7, 1],
    [2, 1, 0],
  ];
  const all = { count: 3, seed: 2, classLabels, guidance };
  const together = (await model.run(program, { ...all, batch: 3 })).images;
  for (const batch of [1, 2]) expect((await model.run(program, { ...all, batch })).images.data).toEqual(together.data);
  const last = { count: 1, first: 2, seed: 2, classLabels: [1], guidance: [0] };
  expect((await model.run(program, last)).images.data).toEqual(together.slice(2, 3).data);
});
