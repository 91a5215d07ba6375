const { fround } = Math;

/** a b + c rounded once: a product of float32 numbers is exact in double precision. */
function fused(a: number, b: number, c: number): number {
  return fround(a * b + c);
}

/** Coefficients of numerator and denominator, highest power first, of the approximation of ln(1 + x) for x in [-0.3, 0.42]. */
const numerator = [
  2.589979117907922693523e-2, 3.808837741388407920751e-1, 1.480000633576506585156, 2.112677543073053063722,
  9.999999999999998702752e-1, 0,
].map(fround);
const denominator = [
  5.87509540312457434295e-3, 1.546476374983906719538e-1, 9.864942958519418960339e-1, 2.453006071784736363091,
  2.612677543073109236779, 1,
].map(fround);

function polynomial(coefficients: readonly number[], x: number): number {
  return coefficients.reduce((sum, coefficient) => fused(sum, x, coefficient));
}

/**
 * The logarithm of a float32 number as NumPy computes it on x86 processors: one of 13 is not the nearest float32 number, and
 * which whole time a noise level has may hang on that bit. Without subnormal numbers.
 *
 * @param value - Positive, a float32 number.
 */
export function roundedLogarithm(value: number): number {
  let exponent = Math.floor(Math.log2(value));
  let mantissa = value / 2 ** exponent;
  if (mantissa > fround(Math.SQRT2)) {
    mantissa /= 2;
    ++exponent;
  }
  const x = fround(mantissa - 1);
  const fraction = fround(polynomial(numerator, x) / polynomial(denominator, x));
  return fused(exponent, fround(Math.LN2), fraction);
}
