// Tests of which jobs are kept.
import { describe, expect, it } from 'vitest';

import type { Holding } from '../../src/jobs/admission.js';
import { outlived, Removals } from '../../src/jobs/outlived.js';

const holding = (id: string, changedAt: number, bytes = 100, canGo = true): Holding => ({
  id,
  tenant: '',
  weight: 1,
  samples: 1,
  bytes,
  isOver: canGo,
  canGo,
  changedAt,
});
const gone = (held: Holding[], keep: number, keepBytes?: number): string[] =>
  outlived(held, { keep, ...(keepBytes !== undefined && { keepBytes }) }, 1000).map(({ id }) => id);

describe('a job that is over', () => {
  it('is kept for a time', () => {
    const held = [holding('new', 901), holding('edge', 900), holding('old', 899), holding('running', 1, 100, false)];
    expect(gone(held, 100)).toEqual(['old']);
    expect(gone(held, 0)).toEqual(['old', 'edge', 'new']);
    expect(gone(held, Infinity)).toEqual([]);
  });

  it('is kept while there are not too many bytes, the newest the longest', () => {
    const held = [holding('new', 3), holding('old', 1, 50), holding('mid', 2), holding('running', 0, 100, false)];
    expect(gone(held, Infinity, 350)).toEqual([]);
    expect(gone(held, Infinity, 349)).toEqual(['old']);
    expect(gone(held, Infinity, 299)).toEqual(['old', 'mid']);
    expect(gone(held, Infinity, 0)).toEqual(['old', 'mid', 'new']);
  });

  it('that was too old makes room for others', () => {
    expect(gone([holding('old', 1), holding('new', 950)], 100, 100)).toEqual(['old']);
  });
});

it('tells of a removal that fails once, until it succeeds', async () => {
  const told: unknown[] = [];
  const removals = new Removals((error) => told.push(error));
  const [first, second] = [new Error('first'), new Error('second')];
  expect(await removals.try('a', () => Promise.reject(first))).toBe(false);
  expect(await removals.try('a', () => Promise.reject(second))).toBe(false);
  expect(await removals.try('b', () => Promise.reject(second))).toBe(false);
  expect(told).toEqual([first, second]);
  expect(await removals.try('a', () => Promise.resolve())).toBe(true);
  expect(await removals.try('a', () => Promise.reject(second))).toBe(false);
  expect(told).toEqual([first, second, second]);
  expect(await new Removals().try('a', () => Promise.reject(first))).toBe(false);
});
