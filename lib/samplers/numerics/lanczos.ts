import { at } from '../../base/arrays.js';
import type { HostContext, Term } from '../../program/host-context.js';
import { symmetricEigen } from './symmetric-eigen.js';

/** Operator, linear, on a host program's tensors: leaves its product with the tensor `of` in the tensor `into`. */
export type Operator = (of: string, into: string) => Promise<void>;

/** Minimum remainder, as a share of the product; a smaller one is rounding of float32. */
const leastRemainder = 1e-6;

/** Limits of an operator's eigenvalues. */
export interface EigenvalueLimits {
  /** Minimum: lower eigenvalues are raised to it. */
  low: number;
  /** Maximum: higher eigenvalues are lowered to it. */
  high: number;
  /** Maximum of the mean: if it is more along v, the parts above `low` shrink. */
  mean: number;
}

/** Projection of the operator of one sample on the orthonormal vectors of a Krylov space. */
interface Projection {
  /** Number of vectors; fewer than requested if the space has no more. */
  size: number;
  /** Entry `between[i][j]` is v_i^T A v_j. */
  between: number[][];
}

function sizesOf(sumsOfSquares: Float64Array): Float64Array {
  return sumsOfSquares.map(Math.sqrt);
}

/** Computes 1 / size, and 0 for samples without such a vector. */
function inverses(sizes: Float64Array, has: (sample: number) => boolean): Float64Array {
  return sizes.map((size, sample) => (has(sample) ? 1 / size : 0));
}

/** Subtracts from `residual` its parts along the vectors, and adds those to column `column` of the projections. */
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

/** Runs Arnoldi's process: an orthonormal basis `basis 0`, `basis 1`, … of v, A v, A^2 v, … of every sample. */
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
    // Two passes are enough (Giraud et al. 2005): one leaves rounding errors, large in a small remainder.
    for (let time = 0; time < 2; ++time) await orthogonalise(context, names.slice(0, step + 1), projections, step);
    const next = names[step + 1];
    if (next === undefined) break;
    const remainders = sizesOf(await context.reduce('sum-squares', 'residual'));
    // Vectors and their products are 0 after the end of a space.
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

/** Computes the first column of the root of the projection's symmetric part, with limited eigenvalues. */
function firstColumnOfRoot({ size, between }: Projection, { low, high, mean }: EigenvalueLimits): number[] {
  const value = (row: number, column: number): number => between[row]?.[column] ?? 0;
  const matrix = Array.from({ length: size }, (_, row) =>
    Array.from({ length: size }, (_unused, column) => (value(row, column) + value(column, row)) / 2),
  );
  const { values, vectors } = symmetricEigen(matrix);
  // The operator along v equals its mean over all directions, except by chance.
  const share = value(0, 0) > mean ? (mean - low) / (value(0, 0) - low) : 1;
  const roots = values.map((each) => Math.sqrt(Math.min(low + share * Math.max(each - low, 0), high)));
  return matrix.map((_, row) =>
    roots.reduce((sum, root, k) => sum + root * at(at(vectors, k), 0) * at(at(vectors, k), row), 0),
  );
}

/**
 * Makes terms of sum A^(1/2) v for an operator A that is symmetric except for the errors of a network: |v| Q T^(1/2) e_1 in
 * the Krylov space of `steps` products that begins at v, with full orthogonalisation; Q^T A Q is tridiagonal where A is
 * symmetric, and T its symmetric part otherwise. Exact where the space has no more dimensions (a sample has `steps`
 * elements, or A as few eigenvalues), which each sample finds out for itself.
 *
 * @param vector - The tensor v; a sample of zeros gives zeros.
 * @param steps - Number of products; at least one is made.
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
