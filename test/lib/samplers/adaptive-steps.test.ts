// Steps of the adaptive flow, whose errors a test makes up.
import { expect, it } from 'vitest';

import type { HostContext } from '../../../lib/program/host-context.js';
import { AdaptiveFlow } from '../../../lib/samplers/numerics/adaptive-flow.js';

/** Finds the ends of one sample's steps from 0 to 1, accepted or not. */
async function endsOf(errors: readonly number[]): Promise<number[]> {
  // Norms of the state, its slope and its bend: the first step is a sixth.
  const norms = [1, 1, 1, ...errors];
  const context = {
    batch: 1,
    shape: [1, 1],
    errorNorm: () => Promise.resolve(Float64Array.of(norms.shift() ?? 0)),
    linearCombination: () => Promise.resolve(),
    progress: () => undefined,
  };
  const ends: number[] = [];
  const slope = (_: string, [time]: readonly number[], target: string) => {
    if (target === 'slope 6') ends.push(time!);
    return Promise.resolve(null);
  };
  const control = { atol: 1, rtol: 0, shared: false };
  await new AdaptiveFlow(context as unknown as HostContext, slope, control, 0, 1).run();
  return ends;
}

const first = (0.01 / 100) ** (1 / 5);

it('steps become larger after one that was accepted, ten times at most', async () => {
  const [one, two] = await endsOf([0.9 ** 5 / 2 ** 5, 0]);
  expect(one).toBeCloseTo(first, 12);
  expect(two).toBeCloseTo(3 * first, 12);
  expect((await endsOf([1e-12]))[1]).toBe(1);
});

it('a step that was refused is tried again, smaller, and the next one is no larger than that', async () => {
  const [refused, again, next, last] = await endsOf([32, 1e-12, 1e-12]);
  const smaller = first * 0.9 * 32 ** (-1 / 5);
  expect(refused).toBeCloseTo(first, 12);
  expect(again).toBeCloseTo(smaller, 12);
  expect(next).toBeCloseTo(2 * smaller, 12);
  expect(last).toBeCloseTo(12 * smaller, 12);
  expect((await endsOf([1e9, 0]))[1]).toBeCloseTo(0.2 * first, 12);
});

it('a step is refused from an error of 1', async () => {
  for (const error of [1, 1.5, 2]) {
    const [refused, again] = await endsOf([error, 0]);
    expect(refused).toBeCloseTo(first, 12);
    expect(again).toBeCloseTo(first * 0.9 * error ** (-1 / 5), 12);
  }
});
