import { at } from '../../base/arrays.js';
import type { BoundTerm } from './bound.js';

/** A mean over images in bits per dimension. */
export interface BitsEstimate {
  /** The estimate, in bits per dimension. */
  bits: number;
  /** Standard error of the mean over the images; NaN for one image. */
  standardError: number;
}

/** A variational bound on the negative log-likelihood, term by term. */
export interface Likelihood {
  /** Name of the bound's sampler. */
  sampler: string;
  /** Number of images in the mean. */
  images: number;
  /** Number d of dimensions of an image. */
  dimensions: number;
  /** KL of q(x_t | x_0) and the standard normal prior, t the noisiest time. */
  prior: BitsEstimate & { t: number };
  /** KL of q(x_s | x_t, x_0) and p(x_s | x_t), in the order of sampling. */
  kl: (BitsEstimate & { s: number; t: number })[];
  /** Decoder term -log p(x_0 | x_t), t the cleanest time. */
  decoder: BitsEstimate & { t: number };
  /** The sum of all; the standard error counts that the terms of one image belong together. */
  total: BitsEstimate;
}

/** Computes mean and standard error in bits per dimension from nats per image. */
export function estimate(nats: Float64Array, dimensions: number): BitsEstimate {
  const unit = dimensions * Math.LN2;
  const mean = nats.reduce((sum, value) => sum + value, 0) / nats.length;
  const squares = nats.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { bits: mean / unit, standardError: Math.sqrt(squares / (nats.length - 1) / nats.length) / unit };
}

/**
 * The bound from its terms' nats, one array per term with one number per image.
 *
 * @param terms - In the order of sampling: prior, jumps, decoder.
 */
export function summarise(
  sampler: string,
  terms: readonly BoundTerm[],
  nats: readonly Float64Array[],
  dimensions: number,
): Likelihood {
  const images = at(nats, 0).length;
  const estimates = terms.map(({ s, t }, i) => ({ s, t, ...estimate(at(nats, i), dimensions) }));
  const totals = Float64Array.from({ length: images }, (_, i) => nats.reduce((sum, term) => sum + at(term, i), 0));
  const { s: _, ...prior } = at(estimates, 0);
  const { s: __, ...decoder } = at(estimates, estimates.length - 1);
  return {
    sampler,
    images,
    dimensions,
    prior,
    kl: estimates.slice(1, -1),
    decoder,
    total: estimate(totals, dimensions),
  };
}
