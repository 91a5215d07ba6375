import { at } from '../../base/arrays.js';

/** Decomposition of a symmetric matrix: `values[k]` is the eigenvalue of the unit vector `vectors[k]`. */
export interface SymmetricEigen {
  values: number[];
  vectors: number[][];
}

/** Maximum number of sweeps: Jacobi's method doubles its digits in each; matrices here have some tens of rows. */
const mostSweeps = 30;
/** Share of the squares outside the diagonal at the limit of float64. */
const leastShare = 1e-32;

type Matrix = number[][];

const entry = (matrix: Matrix, row: number, column: number): number => at(at(matrix, row), column);

/** Replaces two rows by their rotation. */
function rotateRows(matrix: Matrix, p: number, q: number, cosine: number, sine: number): void {
  const [first, second] = [at(matrix, p), at(matrix, q)];
  matrix[p] = first.map((value, i) => cosine * value - sine * at(second, i));
  matrix[q] = first.map((value, i) => sine * value + cosine * at(second, i));
}

function rotateColumns(matrix: Matrix, p: number, q: number, cosine: number, sine: number): void {
  for (const row of matrix) {
    const [first, second] = [at(row, p), at(row, q)];
    row[p] = cosine * first - sine * second;
    row[q] = sine * first + cosine * second;
  }
}

/** Sums the squares outside the diagonal, or all of them. */
function squares(matrix: Matrix, hasDiagonal: boolean): number {
  const ofRow = (row: number[], i: number): number =>
    row.reduce((sum, value, j) => (i === j && !hasDiagonal ? sum : sum + value * value), 0);
  return matrix.reduce((sum, row, i) => sum + ofRow(row, i), 0);
}

/** Computes the rotation that makes the entry in row p and column q vanish (Golub & Van Loan, 8.5.2). */
function rotation(matrix: Matrix, p: number, q: number): [cosine: number, sine: number] {
  const ratio = (entry(matrix, q, q) - entry(matrix, p, p)) / (2 * entry(matrix, p, q));
  const tangent = Math.sign(ratio || 1) / (Math.abs(ratio) + Math.hypot(1, ratio));
  const cosine = 1 / Math.hypot(1, tangent);
  return [cosine, tangent * cosine];
}

/**
 * Computes eigenvalues, in no order, and eigenvectors of a small symmetric matrix by Jacobi's method, cyclic by rows.
 *
 * @param symmetric - Rows of the matrix; NaN gives NaN.
 */
export function symmetricEigen(symmetric: readonly (readonly number[])[]): SymmetricEigen {
  const matrix = symmetric.map((row) => [...row]);
  const size = matrix.length;
  const vectors = matrix.map((_, i) => Array.from({ length: size }, (_unused, j) => (i === j ? 1 : 0)));
  const least = leastShare * squares(matrix, true);
  for (let sweep = 0; sweep < mostSweeps && squares(matrix, false) > least; ++sweep) {
    for (let p = 0; p < size; ++p) {
      for (let q = p + 1; q < size; ++q) {
        if (entry(matrix, p, q) === 0) continue;
        const [cosine, sine] = rotation(matrix, p, q);
        rotateRows(matrix, p, q, cosine, sine);
        rotateColumns(matrix, p, q, cosine, sine);
        rotateRows(vectors, p, q, cosine, sine);
      }
    }
  }
  return { values: matrix.map((row, i) => at(row, i)), vectors };
}
