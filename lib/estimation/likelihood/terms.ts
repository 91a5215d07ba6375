import { at } from '../../base/arrays.js';
import type { Clip, RecordVariance } from '../../program/record.js';
import type { Jump } from '../../schedule/jump.js';
import type { Combination } from '../../schedule/prediction.js';

/** Part of a term for one element, in nats. */
export type ElementTerm = (x0: number, prediction: number, element: number) => number;

/** Computes a quantile of |values|, linear between order statistics. */
function absoluteQuantile(values: Float64Array, quantile: number): number {
  const sorted = values.map(Math.abs).sort();
  const position = quantile * (sorted.length - 1);
  const below = Math.floor(position);
  const low = at(sorted, below);
  return low + (position - below) * ((sorted[below + 1] ?? low) - low);
}

/** Limits one sample's data prediction as the fused update does, in place. */
function applyClip(values: Float64Array, clip: Clip): void {
  if (clip.kind === 'none') return;
  const dynamic = clip.kind === 'dynamic';
  const scale = dynamic ? clamp(absoluteQuantile(values, clip.quantile), clip.floor, clip.ceiling ?? Infinity) : 1;
  const [low, high] = dynamic ? [-scale, scale] : [clip.low, clip.high];
  values.forEach((value, i) => {
    values[i] = Math.min(Math.max(value, low), high) / scale;
  });
}

/** The clipped data prediction of one sample from its state and the network's output. */
export function dataPrediction(
  { input, output }: Combination,
  clip: Clip,
  state: ArrayLike<number>,
  out: ArrayLike<number>,
): Float64Array {
  const values = Float64Array.from(state, (value, i) => input * value + output * at(out, i));
  applyClip(values, clip);
  return values;
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}

/**
 * Computes the variance that a record gives every element of one sample.
 *
 * @param averaged - True: the linear form takes means of its arguments over the sample, then the limits.
 */
export function elementVariances(
  variance: RecordVariance,
  averaged: boolean,
  state: ArrayLike<number>,
  out: ArrayLike<number>,
  head: ArrayLike<number> | null,
): Float64Array {
  const elements = state.length;
  switch (variance.kind) {
    case 'none':
      return new Float64Array(elements);
    case 'scalar':
      return new Float64Array(elements).fill(variance.deviation ** 2);
    case 'log':
      return Float64Array.from({ length: elements }, (_, i) =>
        clamp(Math.exp(variance.offset + variance.head * at(head ?? [], i)), variance.low, variance.high),
      );
    case 'linear': {
      const { offset, epsilon, epsilonSquared, low, high } = variance;
      const values = Float64Array.from({ length: elements }, (_, i) => {
        const noise = epsilon.input * at(state, i) + epsilon.output * at(out, i);
        return offset + variance.head * at(head ?? [], i) + epsilonSquared * noise * noise;
      });
      if (averaged) values.fill(values.reduce((sum, value) => sum + value, 0) / elements);
      return values.map((value) => clamp(value, low, high));
    }
  }
}

/**
 * Computes KL(q(x_t | x_0) || N(0, I)) of one element, (B + A x_0^2 - 1 - ln B) / 2 (Ho et al. 2020, equation 5).
 *
 * @param alphaBar - A at the noisiest time, where B = 1 - A.
 */
export function priorTerm(alphaBar: number, x0: number): number {
  return 0.5 * (alphaBar * x0 * x0 - alphaBar - Math.log1p(-alphaBar));
}

/**
 * Computes the KL of one element of the Gaussians q(x_s | x_t, x_0) and p(x_s | x_t) of variances V_{s|t} and `variance`,
 * whose means differ by gamma (x_0 - prediction) (Ho et al. 2020, equation 5; Bao et al. 2022, appendix). Infinite if
 * `variance` is 0.
 */
export function klTerm(step: Jump, variance: number, x0: number, prediction: number): number {
  if (!(variance > 0)) return Infinity;
  const ratio = step.posteriorVariance / variance;
  return 0.5 * (ratio - 1 - Math.log(ratio) + (step.sensitivity * (x0 - prediction)) ** 2 / variance);
}

/** Sums an element's part over one sample, in nats. */
export function sumOver(term: ElementTerm, x0: ArrayLike<number>, prediction: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < x0.length; ++i) sum += term(at(x0, i), at(prediction, i), i);
  return sum;
}
