import { at } from '../../base/arrays.js';
import type { HostContext, Term } from '../../program/host-context.js';
import { symmetricEigen } from './symmetric-eigen.js';

/** A linear operator on a host program's tensors: leaves its product with the tensor `of` in the tensor `into`. */
export type Operator = (of: string, into: string) => Promise<void>;

/** What is left of a product is rounding of float32 below this share of it. */
const leastRemainder = 1e-6;

/** What an operator's eigenvalues can be. */
export interface EigenvalueLimits {
  /** The least: those below are moved to it. */
  low: number;
  /** The greatest: those above are moved to it. */
  high: number;
  /** Their greatest mean: where it is more along v, what they are above `low` shrinks. */
  mean: number;
}

/** The orthonormal vectors of a Krylov space, and the operator between them, of one sample. */
interface Projection {
  /** Vectors it has; fewer than asked for where the space has no more. */
  size: number;
  /** `between[i][j]` is v_i^T A v_j. */
  between: number[][];
}

function sizesOf(sumsOfSquares: Float64Array): Float64Array {
  return sumsOfSquares.map(Math.sqrt);
}

/** 1 / size, and 0 for samples that have nothing of that size. */
function inverses(sizes: Float64Array, has: (sample: number) => boolean): Float64Array {
  return sizes.map((size, sample) => (has(sample) ? 1 / size : 0));
}

/** Subtracts from `residual` its parts along the vectors, and adds what they were to column `column` of the projections. */
async function orthogonalise(
  context: HostContext,
  vectors: readonly string[],
  projections: readonly Projection[],
  column: number,
): Promise<void> {
  const terms: Term[] = [[1, 'residual']];
  for (const [row, vector] of vectors.entries()) {
    const parts = await context.reduce('dot', 'residual', vector);
    projections.forEach(({ between }, sample) => {
      const entries = (between[row] ??= []);
      entries[column] = (entries[column] ?? 0) + at(parts, sample);
    });
    terms.push([parts.map((part) => -part), vector]);
  }
  await context.linearCombination('residual', terms);
}

/** Arnoldi's process: an orthonormal basis `basis 0`, `basis 1`, … of v, A v, A^2 v, … of every sample. */
async function krylov(
  context: HostContext,
  operator: Operator,
  vector: string,
  steps: number,
  norms: Float64Array,
): Promise<Projection[]> {
  const projections = Array.from(norms, (): Projection => ({ size: 1, between: [] }));
  const names = Array.from({ length: steps }, (_, step) => `basis ${step}`);
  await context.linearCombination('basis 0', [[inverses(norms, (sample) => at(norms, sample) > 0), vector]]);
  for (const [step, name] of names.entries()) {
    await operator(name, 'residual');
    const products = sizesOf(await context.reduce('sum-squares', 'residual'));
    // Twice is enough (Giraud et al. 2005): once leaves rounding of the product, which is much of a small remainder.
    for (let time = 0; time < 2; ++time) await orthogonalise(context, names.slice(0, step + 1), projections, step);
    const next = names[step + 1];
    if (next === undefined) break;
    const remainders = sizesOf(await context.reduce('sum-squares', 'residual'));
    // Where a space has ended, vectors are 0 and so are their products.
    const goesOn = (sample: number): boolean => at(remainders, sample) > leastRemainder * at(products, sample);
    await context.linearCombination(next, [[inverses(remainders, goesOn), 'residual']]);
    projections.forEach((projection, sample) => {
      if (!goesOn(sample)) return;
      projection.size = step + 2;
      (projection.between[step + 1] ??= [])[step] = at(remainders, sample);
    });
    if (projections.every(({ size }) => size <= step + 1)) break;
  }
  return projections;
}

/** The first column of the square root of the projection's symmetric part, its eigenvalues kept between `low` and `high`. */
function firstColumnOfRoot({ size, between }: Projection, { low, high, mean }: EigenvalueLimits): number[] {
  const value = (row: number, column: number): number => between[row]?.[column] ?? 0;
  const matrix = Array.from({ length: size }, (_, row) =>
    Array.from({ length: size }, (_unused, column) => (value(row, column) + value(column, row)) / 2),
  );
  const { values, vectors } = symmetricEigen(matrix);
  // Along v the operator is as its mean over all directions, but for chance.
  const share = value(0, 0) > mean ? (mean - low) / (value(0, 0) - low) : 1;
  const roots = values.map((each) => Math.sqrt(Math.min(low + share * Math.max(each - low, 0), high)));
  return matrix.map((_, row) =>
    roots.reduce((sum, root, k) => sum + root * at(at(vectors, k), 0) * at(at(vectors, k), row), 0),
  );
}

/**
 * Terms that add up to A^(1/2) v for an operator A that is symmetric but for the errors of a network: |v| Q T^(1/2) e_1 in the
 * Krylov space of `steps` products that begins at v, with full orthogonalisation; Q^T A Q is tridiagonal where A is
 * symmetric, and T its symmetric part otherwise. Exact where the space has no more dimensions (a sample has `steps` elements,
 * or A as few eigenvalues), which each sample finds out for itself.
 *
 * @param vector - The tensor v; a sample of zeros gives zeros.
 * @param steps - Products, one each; at least one is made.
 * @param limits - Limits of T's eigenvalues.
 * @returns Terms of tensors named `basis K`, for {@link HostContext.linearCombination}; `residual` is overwritten as well.
 */
export async function lanczosRoot(
  context: HostContext,
  operator: Operator,
  vector: string,
  steps: number,
  limits: EigenvalueLimits,
): Promise<Term[]> {
  const norms = sizesOf(await context.reduce('sum-squares', vector));
  const projections = await krylov(context, operator, vector, steps, norms);
  const columns = projections.map((projection) => firstColumnOfRoot(projection, limits));
  const used = Math.max(...columns.map(({ length }) => length));
  return Array.from({ length: used }, (_, step): Term => {
    const coefficients = columns.map((column, sample) => at(norms, sample) * (column[step] ?? 0));
    return [coefficients, `basis ${step}`];
  });
}
