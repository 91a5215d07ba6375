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
  responsibilities(x: ArrayLike<number>, { alphaBar, betaBar }: Powers): number[] {
    const alpha = Math.sqrt(alphaBar);
    const logs = this.components.map(({ weight, mean, variance }) =>
      mean.reduce((sum, each, i) => {
        const spread = alphaBar * at(variance, i) + betaBar;
        return sum - 0.5 * ((at(x, i) - alpha * each) ** 2 / spread + Math.log(spread));
      }, Math.log(weight)),
    );
    const most = Math.max(...logs);
    const shares = logs.map((each) => Math.exp(each - most));
    const total = shares.reduce((sum, each) => sum + each, 0);
    return shares.map((each) => each / total);
  }

  posterior(x: ArrayLike<number>, powers: Powers): Posterior {
    const { alphaBar, betaBar } = powers;
    const alpha = Math.sqrt(alphaBar);
    const shares = this.responsibilities(x, powers);
    const mean = new Float64Array(this.dimension);
    const square = new Float64Array(this.dimension);
    this.components.forEach((component, k) => {
      const share = at(shares, k);
      for (let i = 0; i < mean.length; ++i) {
        const variance = at(component.variance, i);
        const spread = alphaBar * variance + betaBar;
        const gain = (alpha * variance) / spread;
        const own = at(component.mean, i) + gain * (at(x, i) - alpha * at(component.mean, i));
        mean[i] = at(mean, i) + share * own;
        square[i] = at(square, i) + share * (own * own + (variance * betaBar) / spread);
      }
    });
    return { mean, covariance: square.map((each, i) => each - at(mean, i) ** 2) };
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
