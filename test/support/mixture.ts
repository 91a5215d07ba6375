// Gaussian mixtures, for which everything a diffusion model estimates is known: score, Gamma, posterior covariance.
import { at } from '../../lib/base/arrays.js';

export interface Component {
  weight: number;
  /** Mean and variance of every dimension. */
  mean: readonly number[];
  variance: readonly number[];
}

/** Signal and noise power of a time. */
export interface Powers {
  alphaBar: number;
  betaBar: number;
}

export interface Posterior {
  /** E[x_0 | x_t], and the diagonal of Cov[x_0 | x_t]. */
  mean: Float64Array;
  covariance: Float64Array;
}

/** A mixture of Gaussians with diagonal covariances. */
export class Mixture {
  constructor(readonly components: readonly Component[]) {}

  get dimension(): number {
    return at(this.components, 0).mean.length;
  }

  /** The probability of each component given x_t. */
  responsibilities(x: ArrayLike<number>, { alphaBar, betaBar }: Powers): Float64Array {
    const alpha = Math.sqrt(alphaBar);
    const shares = new Float64Array(this.components.length);
    let most = -Infinity;
    // Loops: samples ask millions of times.
    for (const [k, { weight, mean, variance }] of this.components.entries()) {
      let log = Math.log(weight);
      for (let i = 0; i < mean.length; ++i) {
        const spread = alphaBar * variance[i]! + betaBar;
        log -= 0.5 * ((x[i]! - alpha * mean[i]!) ** 2 / spread + Math.log(spread));
      }
      shares[k] = log;
      most = Math.max(most, log);
    }
    let total = 0;
    for (let k = 0; k < shares.length; ++k) total += shares[k] = Math.exp(shares[k]! - most);
    for (let k = 0; k < shares.length; ++k) shares[k]! /= total;
    return shares;
  }

  posterior(x: ArrayLike<number>, powers: Powers): Posterior {
    const { alphaBar, betaBar } = powers;
    const alpha = Math.sqrt(alphaBar);
    const shares = this.responsibilities(x, powers);
    const mean = new Float64Array(this.dimension);
    const covariance = new Float64Array(this.dimension);
    for (const [k, component] of this.components.entries()) {
      const share = shares[k]!;
      for (let i = 0; i < mean.length; ++i) {
        const variance = component.variance[i]!;
        const spread = alphaBar * variance + betaBar;
        const gain = (alpha * variance) / spread;
        const own = component.mean[i]! + gain * (x[i]! - alpha * component.mean[i]!);
        mean[i]! += share * own;
        covariance[i]! += share * (own * own + (variance * betaBar) / spread);
      }
    }
    for (let i = 0; i < mean.length; ++i) covariance[i]! -= mean[i]! ** 2;
    return { mean, covariance };
  }

  /** The exact noise prediction. */
  epsilon(x: ArrayLike<number>, powers: Powers): Float64Array {
    const [alpha, sigma] = [Math.sqrt(powers.alphaBar), Math.sqrt(powers.betaBar)];
    return this.posterior(x, powers).mean.map((each, i) => (at(x, i) - alpha * each) / sigma);
  }

  /** One point of the data; `uniform` and `normal` draw numbers. */
  draw(uniform: () => number, normal: () => number): Float64Array {
    let rest = uniform();
    const chosen = this.components.find(({ weight }) => (rest -= weight) < 0) ?? at(this.components, 0);
    return Float64Array.from(chosen.mean, (each, i) => each + Math.sqrt(at(chosen.variance, i)) * normal());
  }
}

/** The one-dimensional problem on which orders of convergence are measured. */
export const orderProblem = new Mixture([
  { weight: 0.3, mean: [-0.6], variance: [0.04] },
  { weight: 0.7, mean: [0.5], variance: [0.09] },
]);
