// The digits' model behind a batch, and what its results are compared with.
import { afterAll, beforeAll, expect } from 'vitest';

import type { Batcher, RunResult } from '../../../lib/index.js';
import { DiffusionModel } from '../../../lib/index.js';
import { packagePath } from '../../support/temporary.js';

export const path = packagePath('models/mnist');
export const PIXELS = 28 * 28;
export let model: DiffusionModel;
/** Batcher with four rows and eight slots. */
export let batcher: Batcher;

/** Opens both for the tests of a file. */
export function serveDigits(): void {
  beforeAll(async () => {
    model = await DiffusionModel.load(path, { device: 'cpu' });
    batcher = await model.batcher({ rows: 4, slots: 8 });
  });
  afterAll(() => model.close());
}

export function expectSame(actual: RunResult, expected: RunResult): void {
  expect(actual.images.shape).toEqual(expected.images.shape);
  expect(actual.images.range).toEqual(expected.images.range);
  expect(actual.images.data).toEqual(expected.images.data);
  expect(actual.images.toUint8()).toEqual(expected.images.toUint8());
  expect(actual.snapshots.map(({ record }) => record)).toEqual(expected.snapshots.map(({ record }) => record));
  actual.snapshots.forEach(({ images }, i) => {
    expect(images.data).toEqual(expected.snapshots[i]!.images.data);
  });
}

/** Makes given noise, in slices. */
export function noise(samples: number, slices: number): Float32Array[] {
  return Array.from({ length: slices }, (_, slice) =>
    Float32Array.from({ length: samples * PIXELS }, (_, i) => Math.sin(12.9898 * (i + 1) * (slice + 1))),
  );
}
