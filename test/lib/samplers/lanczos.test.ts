// Square roots of operators by Krylov spaces, against decompositions of small matrices.
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';

import { Device } from '../../../lib/engine/device.js';
import { DeviceHostContext } from '../../../lib/run/device-context.js';
import { lanczosRoot, type EigenvalueLimits } from '../../../lib/samplers/numerics/lanczos.js';
import { symmetricEigen } from '../../../lib/samplers/numerics/symmetric-eigen.js';
import { maxDifference } from '../../support/golden.js';

type Matrix = readonly (readonly number[])[];

const times = (matrix: Matrix, v: readonly number[]): number[] =>
  matrix.map((row) => row.reduce((sum, value, i) => sum + value * v[i]!, 0));
const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const diagonal = (...values: number[]): number[][] =>
  values.map((value, i) => values.map((_, j) => (i === j ? value : 0)));

const device = Device.open({ device: 'cpu', threads: 1 });
afterAll(() => device.close());

const free: EigenvalueLimits = { low: 0, high: Infinity, mean: Infinity };

/** The root of every sample's own matrix times its own vector, and how many products it took. */
async function root(
  matrices: readonly Matrix[],
  vectors: readonly (readonly number[])[],
  steps: number,
  limits = free,
): Promise<{ products: number; found: number[][] }> {
  const d = vectors[0]!.length;
  const x = device.tensor([vectors.length, d]);
  const options = { seed: 0, firstSample: 0, noise: null, signal: undefined, onProgress: undefined };
  const context = new DeviceHostContext({
    ...options,
    x,
    evaluator: { evaluate: () => Promise.reject(new Error('no network')) },
  });
  await context.write('v', Float32Array.from(vectors.flat()));
  const part = (values: Float32Array, n: number): number[] => [...values.subarray(n * d, (n + 1) * d)];
  let products = 0;
  const operator = async (of: string, into: string): Promise<void> => {
    ++products;
    const values = await context.read(of);
    await context.write(into, Float32Array.from(matrices.flatMap((matrix, n) => times(matrix, part(values, n)))));
  };
  await context.linearCombination('root', await lanczosRoot(context, operator, 'v', steps, limits));
  const values = await context.read('root');
  context.release();
  x.free();
  return { products, found: vectors.map((_, n) => part(values, n)) };
}

/** M^(1/2) of a positive 2 by 2 matrix, in closed form. */
function rootOfTwo([[a, b], [c, e]]: [[number, number], [number, number]]): Matrix {
  const s = Math.sqrt(a * e - b * c);
  const t = Math.sqrt(a + e + 2 * s);
  return [
    [(a + s) / t, b / t],
    [c / t, (e + s) / t],
  ];
}

/** Two steps in float64: the space of v and M v, and in it the root of the symmetric part of another matrix. */
function inTwoDimensions(space: Matrix, projected: Matrix, v: readonly number[]): number[] {
  const norm = Math.sqrt(dot(v, v));
  const first = v.map((value) => value / norm);
  const product = times(space, first);
  const left = product.map((value, i) => value - dot(product, first) * first[i]!);
  const size = Math.sqrt(dot(left, left));
  const second = left.map((value) => value / size);
  const entry = (a: number[], b: number[]): number => (dot(a, times(projected, b)) + dot(b, times(projected, a))) / 2;
  const off = entry(first, second);
  const [[p], [q]] = rootOfTwo([
    [entry(first, first), off],
    [off, entry(second, second)],
  ]) as [[number], [number]];
  return v.map((_, i) => norm * (p * first[i]! + q * second[i]!));
}

describe('eigenvalues of symmetric matrices', () => {
  const entries = fc.integer({ min: 1, max: 8 }).chain((size) =>
    fc.array(fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: size, maxLength: size }), {
      minLength: size,
      maxLength: size,
    }),
  );

  it('have orthonormal vectors that the matrix multiplies by them', () => {
    fc.assert(
      fc.property(entries, (square) => {
        const matrix = square.map((row, i) => row.map((value, j) => (value + square[j]![i]!) / 2));
        const { values, vectors } = symmetricEigen(matrix);
        expect(values).toHaveLength(matrix.length);
        vectors.forEach((vector, k) => {
          const expected = vector.map((value) => values[k]! * value);
          expect(maxDifference(times(matrix, vector), expected)).toBeLessThan(1e-12);
          vectors.forEach((other, l) => {
            expect(Math.abs(dot(vector, other) - (k === l ? 1 : 0))).toBeLessThan(1e-13);
          });
        });
      }),
    );
  });

  it('of what is diagonal already, or no numbers, are those', () => {
    expect(symmetricEigen(diagonal(3, 0, -2)).values).toEqual([3, 0, -2]);
    expect(symmetricEigen([])).toEqual({ values: [], vectors: [] });
    // Equal on the diagonal and nothing beside it, in rows that others turn.
    const { values, vectors } = symmetricEigen([
      [1, 0, 1],
      [0, 1, 0],
      [1, 0, 1],
    ]);
    expect(maxDifference(values.toSorted(), [0, 1, 2])).toBeLessThan(1e-12);
    expect(vectors[1]).toEqual([0, 1, 0]);
    const wrong = [
      [NaN, 1],
      [1, 2],
    ];
    expect(symmetricEigen(wrong).values).toEqual([NaN, 2]);
  });
});

describe('roots by Krylov spaces', () => {
  const v = [1, -2, 0.5, 3, -1, 0.25];

  it('are exact with as many steps as there are dimensions', async () => {
    const values = [1, 2, 3, 5, 8, 13];
    const { found } = await root([diagonal(...values)], [v], 6);
    const expected = v.map((value, i) => Math.sqrt(values[i]!) * value);
    expect(maxDifference(found[0]!, expected)).toBeLessThan(1e-5);
  });

  it('end where a sample’s space does, others’ go on', async () => {
    const several = [
      diagonal(4, 4, 4, 4, 4, 4),
      diagonal(1, 1, 1, 9, 9, 9),
      diagonal(0, 0, 0, 0, 0, 0),
      diagonal(1, 2, 3, 5, 8, 13),
      diagonal(1, 2, 3, 5, 8, 13),
    ];
    const vectors = [v, v, v, v.map(() => 0), v];
    const together = await root(several, vectors, 8);
    several.forEach((matrix, n) => {
      const expected = vectors[n]!.map((value, i) => Math.sqrt(matrix[i]![i]!) * value);
      expect(maxDifference(together.found[n]!, expected)).toBeLessThan(1e-5);
    });
    const products: number[] = [];
    for (const [n, matrix] of several.entries()) {
      const alone = await root([matrix], [vectors[n]!], 8);
      expect(alone.found[0]).toEqual(together.found[n]);
      products.push(alone.products);
    }
    expect(products).toEqual([1, 2, 1, 1, 6]);
    expect(together.products).toBe(6);
  });

  it('take the steps that they are given', async () => {
    const matrix = diagonal(1, 2, 3, 5, 8, 13);
    const { products, found } = await root([matrix], [v], 2);
    expect(products).toBe(2);
    expect(maxDifference(found[0]!, inTwoDimensions(matrix, matrix, v))).toBeLessThan(1e-5);
  });

  it('are of the symmetric part in the space of a matrix that is not symmetric', async () => {
    const matrix = diagonal(3, 4, 5, 6, 7, 8).map((row, i) => row.map((value, j) => value + (j > i ? 0.3 : 0)));
    const { found } = await root([matrix], [v], 2);
    expect(maxDifference(found[0]!, inTwoDimensions(matrix, matrix, v))).toBeLessThan(1e-5);
    // The result with every dimension is the root of the symmetric part itself.
    const whole = (await root([matrix], [v], 6)).found[0]!;
    const symmetric = matrix.map((row, i) => row.map((value, j) => (value + matrix[j]![i]!) / 2));
    const twice = (await root([symmetric], [whole], 6)).found[0]!;
    expect(maxDifference(twice, times(symmetric, v))).toBeLessThan(1e-4);
  });

  it('have no eigenvalues but between their ends', async () => {
    const values = [-5, 0.5, 2, 3, 10, 100];
    const limits = { low: 1, high: 4, mean: Infinity };
    const { found } = await root([diagonal(...values)], [v], 6, limits);
    const expected = v.map((value, i) => Math.sqrt(Math.min(Math.max(values[i]!, 1), 4)) * value);
    expect(maxDifference(found[0]!, expected)).toBeLessThan(1e-5);
  });

  it('shrink above the low end where the mean along the vector is too large', async () => {
    const ones = v.map(() => 1);
    const values = [1, 2, 3, 4, 5, 9];
    const found = async (mean: number) =>
      (await root([diagonal(...values)], [ones], 6, { low: 1, high: Infinity, mean })).found[0]!;
    const shrunk = values.map((value) => Math.sqrt(1 + (value - 1) / 3));
    expect(maxDifference(await found(2), shrunk)).toBeLessThan(1e-5);
    expect(maxDifference(await found(4.1), values.map(Math.sqrt))).toBeLessThan(1e-5);
    // Below the low end there is nothing to shrink.
    const negative = await root([diagonal(-1, -2, -3, -4, -5, 3)], [ones], 6, { low: 1, high: Infinity, mean: 2 });
    expect(maxDifference(negative.found[0]!, [1, 1, 1, 1, 1, Math.sqrt(3)])).toBeLessThan(1e-5);
  });

  it('of a sample that is no number leave the others alone', async () => {
    const matrix = diagonal(1, 2, 3, 5, 8, 13);
    const bad = matrix.map((row) => row.map(() => NaN));
    const { found } = await root([matrix, bad], [v, v], 4);
    expect(found[0]).toEqual((await root([matrix], [v], 4)).found[0]);
    expect(found[1]!.every(Number.isNaN)).toBe(true);
  });

  it('keep their vectors orthogonal where eigenvalues are far apart', async () => {
    const size = 24;
    const values = Array.from({ length: size }, (_, i) => (i === 0 ? 1e4 : 1 + i / size));
    const vector = values.map((_, i) => Math.cos(i * i));
    const { found } = await root([diagonal(...values)], [vector], 20);
    const expected = vector.map((value, i) => Math.sqrt(values[i]!) * value);
    expect(maxDifference(found[0]!, expected)).toBeLessThan(2e-4);
  });
});
