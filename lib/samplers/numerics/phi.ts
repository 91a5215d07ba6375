/** Below this the recursion would lose digits to differences of nearly equal numbers. */
const seriesRadius = 0.5;

/** The sum of z^j / (j + order)! over j >= 0. */
function series(order: number, z: number): number {
  let term = 1;
  for (let i = 2; i <= order; ++i) term /= i;
  let sum = 0;
  for (let i = order + 1; i <= order + 12; ++i) {
    sum += term;
    term *= z / i;
  }
  return sum;
}

/**
 * The functions of exponential integrators: phi_0(z) = e^z, phi_1(z) = (e^z - 1) / z, phi_{k+1}(z) = (phi_k(z) - 1 / k!) / z.
 *
 * @param order - k >= 0.
 */
export function phi(order: number, z: number): number {
  if (order === 0) return Math.exp(z);
  if (Math.abs(z) < seriesRadius) return series(order, z);
  if (order === 1) return Math.expm1(z) / z;
  let factorial = 1;
  for (let i = 2; i < order; ++i) factorial *= i;
  return (phi(order - 1, z) - 1 / factorial) / z;
}
