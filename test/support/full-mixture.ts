/** A mixture of Gaussians with full covariances. */
export interface Mixture {
  weights: number[];
  means: number[][];
  covariances: number[][][];
}

/** The solution of a symmetric positive system by Cholesky's decomposition, and the logarithm of its determinant. */
function solver(matrix: number[][]): { solve: (b: number[]) => number[]; logDeterminant: number } {
  const n = matrix.length;
  const lower = matrix.map((row) => row.map(() => 0));
  for (let i = 0; i < n; ++i) {
    for (let j = 0; j <= i; ++j) {
      let sum = matrix[i]![j]!;
      for (let k = 0; k < j; ++k) sum -= lower[i]![k]! * lower[j]![k]!;
      lower[i]![j] = i === j ? Math.sqrt(sum) : sum / lower[j]![j]!;
    }
  }
  const solve = (b: number[]): number[] => {
    const x = [...b];
    for (let i = 0; i < n; ++i) {
      for (let k = 0; k < i; ++k) x[i]! -= lower[i]![k]! * x[k]!;
      x[i]! /= lower[i]![i]!;
    }
    for (let i = n - 1; i >= 0; --i) {
      for (let k = i + 1; k < n; ++k) x[i]! -= lower[k]![i]! * x[k]!;
      x[i]! /= lower[i]![i]!;
    }
    return x;
  };
  return { solve, logDeterminant: 2 * lower.reduce((sum, row, i) => sum + Math.log(row[i]!), 0) };
}

const dot = (a: number[], b: number[]): number => a.reduce((sum, each, i) => sum + each * b[i]!, 0);

/** The exact noise prediction at a state of the mixture noised to `alphaBar`, and its derivative along `v`. */
export function noisePrediction(
  { weights, means, covariances }: Mixture,
  alphaBar: number,
  x: number[],
  v: number[],
): { noise: number[]; derivative: number[] } {
  const parts = weights.map((weight, k) => {
    const covariance = covariances[k]!.map((row, i) => row.map((c, j) => alphaBar * c + (i === j ? 1 - alphaBar : 0)));
    const { solve, logDeterminant } = solver(covariance);
    const away = x.map((value, i) => value - Math.sqrt(alphaBar) * means[k]![i]!);
    const score = solve(away).map((value) => -value);
    return { score, along: solve(v), log: Math.log(weight) - 0.5 * (logDeterminant - dot(score, away)) };
  });
  const largest = Math.max(...parts.map(({ log }) => log));
  const total = parts.reduce((sum, { log }) => sum + Math.exp(log - largest), 0);
  const shares = parts.map(({ log }) => Math.exp(log - largest) / total);
  const mean = (values: (part: (typeof parts)[number], i: number) => number): number[] =>
    x.map((_, i) => parts.reduce((sum, part, k) => sum + shares[k]! * values(part, i), 0));
  const score = mean((part, i) => part.score[i]!);
  const second = mean((part, i) => part.score[i]! * dot(part.score, v) - part.along[i]!);
  const sigma = Math.sqrt(1 - alphaBar);
  return {
    noise: score.map((each) => -sigma * each),
    derivative: second.map((each, i) => -sigma * (each - score[i]! * dot(score, v))),
  };
}
