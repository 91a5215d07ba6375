import { unknownName } from '../../base/checks.js';
import { DpmError } from '../../base/errors.js';
import { centredRange, levelsPerUnit, valueOfLevel, type PixelRange } from '../../base/pixel-range.js';

const rootPi = Math.sqrt(Math.PI);

/** Computes erf(x) for |x| < 2.5: the series with positive terms (Abramowitz & Stegun 7.1.6). */
function erfSeries(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); ++n) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / rootPi) * Math.exp(-x * x) * sum;
}

/** Computes erfc(x) for x >= 2.5: the continued fraction (Abramowitz & Stegun 7.1.14). */
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

/** Computes Phi, the distribution function of the standard normal distribution. */
export function normalCdf(z: number): number {
  return 0.5 * erfc(-z * Math.SQRT1_2);
}

/** The approximation of Phi by a hyperbolic tangent that the code of Ho et al. 2020 and of Nichol & Dhariwal 2021 uses. */
function tanhCdf(z: number): number {
  return 0.5 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3)));
}

/** Maximum distance of a value from the grid of 8 bits, in model space: the rounding of float32. */
const tolerance = 1e-4;

/**
 * Checks that images lie on the grid of 8 bits, 2 u / 255 - 1 in [-1, 1], for u = 0..255.
 *
 * @param images - In model space, back to back.
 * @param elements - Elements of one image.
 * @param range - The interval of the data.
 * @param names - What the images are called in an error; by default their places.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the image.
 */
export function checkGrid(images: Float32Array, elements: number, range: PixelRange, names?: readonly number[]): void {
  const [black, white] = range;
  const scale = levelsPerUnit(range);
  images.forEach((value, i) => {
    const level = Math.min(Math.max(Math.round(scale * (value - black)), 0), 255);
    if (Math.abs(valueOfLevel(level, range) - value) <= tolerance) return;
    const place = Math.floor(i / elements);
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `image ${names?.[place] ?? place} holds ${value}, which is no 8-bit value from ${black} to ${white}: likelihoods are those of 8-bit images`,
    );
  });
}

/** Method of the decoder's bins: the normal distribution, or the approximation of published code. */
export type DecoderName = 'exact' | 'tanh';

export const decoderNames: readonly DecoderName[] = ['exact', 'tanh'];

/** Minimum probability of a bin, as in the code of Ho et al. 2020. */
const leastProbability = 1e-12;

const distributions: Readonly<Record<DecoderName, (z: number) => number>> = { exact: normalCdf, tanh: tanhCdf };

/**
 * Computes the probability of the grey level at `x0` under N(mean, deviation^2) on bins that cover the line (Ho et al. 2020,
 * equation 13).
 *
 * @param x0 - Value on the grid of 8 bits, 2 u / 255 - 1 in [-1, 1], for u = 0..255.
 * @param mean - Mean in model space.
 * @param range - The interval of the data.
 */
export function binProbability(
  x0: number,
  mean: number,
  deviation: number,
  decoder: DecoderName,
  [black, white]: PixelRange = centredRange,
): number {
  const halfBin = (white - black) / 510;
  const cdf = distributions[decoder];
  const upper = (x0 - mean + halfBin) / deviation;
  const lower = (x0 - mean - halfBin) / deviation;
  // The bins of the first and the last level have no end.
  if (x0 < black + halfBin) return cdf(upper);
  // Differences are taken in the lower tail, where nothing cancels.
  if (x0 > white - halfBin) return cdf(-lower);
  return lower > 0 ? cdf(-lower) - cdf(-upper) : cdf(upper) - cdf(lower);
}

/**
 * The negative log-likelihood -ln P(x_0) of the discretised Gaussian decoder, in nats an element; a probability below 1e-12
 * counts as 1e-12.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for an unknown name.
 */
export function discretisedDecoder(
  variance: number,
  decoder: DecoderName,
  range: PixelRange = centredRange,
): (x0: number, mean: number) => number {
  if (!decoderNames.includes(decoder)) throw unknownName('decoder', decoder, decoderNames);
  const deviation = Math.sqrt(variance);
  return (x0, mean) => -Math.log(Math.max(binProbability(x0, mean, deviation, decoder, range), leastProbability));
}
