// Frechet distance between two sets of features, each taken as a normal distribution (Heusel et al. 2017, equation 6).
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

/**
 * Mean and unbiased covariance (divided by n - 1) of features, in float64.
 *
 * @param {ArrayLike<number>} features - [n, dimension], row-major.
 * @param {number} dimension
 * @returns {{ count: number, mean: number[], covariance: number[][] }}
 */
export function moments(features, dimension) {
  const count = features.length / dimension;
  if (!Number.isInteger(count) || count < 2) {
    throw new Error(`${features.length} values are not two or more samples of ${dimension} features`);
  }
  const mean = new Float64Array(dimension);
  for (let n = 0; n < count; ++n) for (let i = 0; i < dimension; ++i) mean[i] += features[n * dimension + i] / count;
  return { count, mean: [...mean], covariance: covariance(features, mean, count) };
}

function covariance(features, mean, count) {
  const dimension = mean.length;
  const sums = Array.from(mean, () => new Float64Array(dimension));
  const centred = new Float64Array(dimension);
  for (let n = 0; n < count; ++n) {
    for (let i = 0; i < dimension; ++i) centred[i] = features[n * dimension + i] - mean[i];
    for (let i = 0; i < dimension; ++i) {
      const [row, value] = [sums[i], centred[i]];
      for (let j = 0; j <= i; ++j) row[j] += value * centred[j];
    }
  }
  return sums.map((_, i) => sums.map((_, j) => (i >= j ? sums[i][j] : sums[j][i]) / (count - 1)));
}

/** The non-negative symmetric root. Eigenvalues that rounding has made negative count as 0. */
function symmetricRoot(matrix) {
  const { eigenvectorMatrix: vectors, realEigenvalues } = new EigenvalueDecomposition(matrix, {
    assumeSymmetric: true,
  });
  const scaled = vectors.clone().mulRowVector(realEigenvalues.map((value) => Math.sqrt(Math.max(value, 0))));
  return scaled.mmul(vectors.transpose());
}

/** The trace tr (S1 S2)^(1/2) by the symmetric form tr (S2^(1/2) S1 S2^(1/2))^(1/2), whose eigenvalues are real. */
function traceOfRoot(first, second) {
  const root = symmetricRoot(second);
  const product = root.mmul(first).mmul(root);
  const symmetric = Matrix.add(product, product.transpose()).mul(0.5);
  const { realEigenvalues } = new EigenvalueDecomposition(symmetric, { assumeSymmetric: true });
  return realEigenvalues.reduce((sum, value) => sum + Math.sqrt(Math.max(value, 0)), 0);
}

/**
 * The distance ||m1 - m2||^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)).
 *
 * @param {{ mean: number[], covariance: number[][] }} a
 * @param {{ mean: number[], covariance: number[][] }} b
 */
export function frechetDistance(a, b) {
  if (a.mean.length !== b.mean.length) {
    throw new Error(`${a.mean.length} features cannot be compared with ${b.mean.length}`);
  }
  const [first, second] = [new Matrix(a.covariance), new Matrix(b.covariance)];
  const shift = a.mean.reduce((sum, value, i) => sum + (value - b.mean[i]) ** 2, 0);
  return shift + first.trace() + second.trace() - 2 * traceOfRoot(first, second);
}
