import { unknownName } from '../../base/checks.js';
import { centredRange, type PixelRange } from '../../base/pixel-range.js';
import { normalCdf, tanhCdf } from './normal.js';

/** How the decoder's bins are computed: with the normal distribution, or with the approximation of published code. */
export type DecoderName = 'exact' | 'tanh';

export const decoderNames: readonly DecoderName[] = ['exact', 'tanh'];

/** Least probability of a bin, as in the code of Ho et al. 2020. */
const leastProbability = 1e-12;

const distributions: Readonly<Record<DecoderName, (z: number) => number>> = { exact: normalCdf, tanh: tanhCdf };

/**
 * Probability of the grey level at `x0` under N(mean, deviation^2) on bins that cover the line (Ho et al. 2020, equation 13).
 *
 * @param x0 - On the grid of 8 bits, 2 u / 255 - 1 in [-1, 1], for u = 0..255.
 * @param mean - In model space.
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
