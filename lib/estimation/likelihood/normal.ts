const rootPi = Math.sqrt(Math.PI);

/** erf(x) for |x| < 2.5: the series with positive terms (Abramowitz & Stegun 7.1.6). */
function erfSeries(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); ++n) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / rootPi) * Math.exp(-x * x) * sum;
}

/** erfc(x) for x >= 2.5: the continued fraction (Abramowitz & Stegun 7.1.14). */
function erfcFraction(x: number): number {
  let tail = x;
  for (let k = 40; k >= 1; --k) tail = x + k / 2 / tail;
  return Math.exp(-x * x) / (rootPi * tail);
}

/** The complementary error function, to a relative error of about 1e-12. */
export function erfc(x: number): number {
  if (x >= 2.5) return erfcFraction(x);
  return x <= -2.5 ? 2 - erfcFraction(-x) : 1 - erfSeries(x);
}

/** Phi, the distribution function of the standard normal distribution. */
export function normalCdf(z: number): number {
  return 0.5 * erfc(-z * Math.SQRT1_2);
}

/** The approximation of Phi by a hyperbolic tangent that the code of Ho et al. 2020 and of Nichol & Dhariwal 2021 uses. */
export function tanhCdf(z: number): number {
  return 0.5 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3)));
}
