// Data whose score is known: blocks of coefficients that share one random scale, like texture of unknown contrast.
//
// x0 = s u in R^16, u ~ N(0, I), ln s^2 uniform on a grid: a Gaussian scale mixture (Wainwright & Simoncelli 2000). A denoiser
// that does not know the contrast takes surplus noise for texture and keeps it; that is what makes large reverse variances
// costly on natural images. Data of a known fine scale, a Gaussian mixture say, do not show it.
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** Coefficients of a block, d. */
export const blockSize = 16;

const scaleCount = 32;
const largestVariance = 0.35;

/** The numbers that `features` gives for each block. */
export const featureCount = 4;

/** The variances s^2 of the scales, evenly spaced in ln s^2 from `smallest`. */
export function scaleVariances(smallest) {
  const [low, high] = [Math.log(smallest), Math.log(largestVariance)];
  return Float64Array.from({ length: scaleCount }, (_, j) => Math.exp(low + (j / (scaleCount - 1)) * (high - low)));
}

/** A stream of random numbers of one seed. */
export class RandomStream {
  #generator;

  constructor(seed) {
    this.#generator = xoroshiro128plus(seed);
  }

  /** Draws a uniform number in (0, 1). */
  uniform() {
    return ((this.#generator.next() >>> 0) + 0.5) * 2 ** -32;
  }

  /** Fills an array of even length with standard normal numbers (Box & Muller 1958). */
  fillNormal(values) {
    for (let i = 0; i < values.length; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(this.uniform()));
      const angle = 2 * Math.PI * this.uniform();
      values[i] = radius * Math.cos(angle);
      values[i + 1] = radius * Math.sin(angle);
    }
    return values;
  }
}

/**
 * Draws blocks.
 *
 * @param {Float64Array} variances - As `scaleVariances` gives them.
 * @returns {Float32Array} [count, 16].
 */
export function drawBlocks(variances, count, random) {
  const blocks = random.fillNormal(new Float32Array(count * blockSize));
  for (let n = 0; n < count; ++n) {
    const scale = Math.sqrt(variances[Math.floor(random.uniform() * variances.length)]);
    for (let i = n * blockSize; i < (n + 1) * blockSize; ++i) blocks[i] *= scale;
  }
  return blocks;
}

/** The value of ln A of the VP-SDE with rates 0.1 to 20 at t in [0, 1]. At t = n / 1000 it equals that of the discrete schedule. */
export const logSignalPower = (t) => -(0.1 * t + 9.95 * t * t);

/**
 * The posterior of the scales given ||x_t||^2, which is all it depends on: r_j ~ V_j^(-d/2) exp(-||x||^2 / (2 V_j)) with
 * V_j = A s_j^2 + B. Its three means give the exact noise prediction and the diagonal of Cov(x_0 | x_t).
 */
export class ScalePosterior {
  #halfPrecisions;
  #logWeights;
  #precisions;
  #gains;
  #residuals;
  #weights;
  /** E[1 / V], with which the exact noise prediction is sqrt(B) E[1 / V] x. */
  precision = 0;
  /** Variance of the gain g = sqrt(A) s^2 / V of the data prediction E[g] x. */
  gainVariance = 0;
  /** E[s^2 B / V], the variance of x_0 when the scale is known. */
  residual = 0;

  /** @param {number} t - Time of the VP-SDE, in (0, 1]. */
  constructor(variances, t) {
    const logSignal = logSignalPower(t);
    this.signal = Math.exp(logSignal);
    this.noise = -Math.expm1(logSignal);
    const mixed = variances.map((variance) => this.signal * variance + this.noise);
    this.#precisions = mixed.map((value) => 1 / value);
    this.#halfPrecisions = mixed.map((value) => 0.5 / value);
    this.#logWeights = mixed.map((value) => -0.5 * blockSize * Math.log(value));
    this.#gains = mixed.map((value, j) => (Math.sqrt(this.signal) * variances[j]) / value);
    this.#residuals = mixed.map((value, j) => (variances[j] * this.noise) / value);
    this.#weights = new Float64Array(variances.length);
  }

  /** Computes the means for a block with this ||x||^2. */
  condition(squaredNorm) {
    const [weights, count] = [this.#weights, this.#weights.length];
    let largest = -Infinity;
    for (let j = 0; j < count; ++j) {
      weights[j] = this.#logWeights[j] - squaredNorm * this.#halfPrecisions[j];
      if (weights[j] > largest) largest = weights[j];
    }
    let [total, precision, gain, squaredGain, residual] = [0, 0, 0, 0, 0];
    for (let j = 0; j < count; ++j) {
      const weight = Math.exp(weights[j] - largest);
      total += weight;
      precision += weight * this.#precisions[j];
      gain += weight * this.#gains[j];
      squaredGain += weight * this.#gains[j] * this.#gains[j];
      residual += weight * this.#residuals[j];
    }
    this.precision = precision / total;
    this.gainVariance = Math.max(squaredGain / total - (gain / total) ** 2, 0);
    this.residual = residual / total;
  }
}

function squaredNorm(x, start) {
  let sum = 0;
  for (let i = start; i < start + blockSize; ++i) sum += x[i] * x[i];
  return sum;
}

/**
 * The exact noise prediction E[eps | x_t] and, where one is asked for, the exact target of a variance head: `npr`
 * E[(eps - eps_hat)^2 | x_t] = (A / B) diag Cov(x_0 | x_t), `sn` E[eps^2 | x_t], which is eps_hat^2 more (Bao et al. 2022).
 *
 * @param {ScalePosterior} posterior - The posterior at the time of `x`.
 * @param {Float32Array} x - States, [n, 16].
 * @param {'npr' | 'sn' | null} kind
 * @returns {{ out: Float32Array, head?: Float32Array }}
 */
export function exactPrediction(posterior, x, kind) {
  const out = new Float32Array(x.length);
  const head = kind === null ? undefined : new Float32Array(x.length);
  const ratio = posterior.signal / posterior.noise;
  const noiseRoot = Math.sqrt(posterior.noise);
  for (let start = 0; start < x.length; start += blockSize) {
    posterior.condition(squaredNorm(x, start));
    const slope = noiseRoot * posterior.precision;
    for (let i = start; i < start + blockSize; ++i) {
      const epsilon = slope * x[i];
      out[i] = epsilon;
      if (head === undefined) continue;
      const variance = ratio * (posterior.gainVariance * x[i] * x[i] + posterior.residual);
      head[i] = kind === 'sn' ? epsilon * epsilon + variance : variance;
    }
  }
  return head === undefined ? { out } : { out, head };
}

/** m = E||eps_hat(x_t)||^2 / d, estimated from blocks with one draw of noise each; what the analytic variances need. */
export function secondMoment(posterior, blocks, random) {
  const noise = random.fillNormal(new Float32Array(blocks.length));
  const [signalRoot, noiseRoot] = [Math.sqrt(posterior.signal), Math.sqrt(posterior.noise)];
  for (let i = 0; i < blocks.length; ++i) noise[i] = signalRoot * blocks[i] + noiseRoot * noise[i];
  const { out } = exactPrediction(posterior, noise, null);
  return out.reduce((sum, value) => sum + value * value, 0) / out.length;
}

/**
 * Statistics of a block as a convolutional network may see it, after a clamp to [-1, 1]: ln(mean x^2 + 1e-6), the same of the
 * differences of neighbours, 10 times the mean and 5 times the mean of |x|.
 *
 * @param {Float32Array} blocks - [n, 16].
 * @returns {Float64Array} [n, 4].
 */
export function features(blocks) {
  const found = new Float64Array((blocks.length / blockSize) * featureCount);
  for (let start = 0, at = 0; start < blocks.length; start += blockSize, at += featureCount) {
    let [energy, roughness, sum, size, previous] = [0, 0, 0, 0, 0];
    for (let i = 0; i < blockSize; ++i) {
      const value = Math.min(Math.max(blocks[start + i], -1), 1);
      energy += value * value;
      sum += value;
      size += Math.abs(value);
      if (i > 0) roughness += (value - previous) ** 2;
      previous = value;
    }
    found[at] = Math.log(energy / blockSize + 1e-6);
    found[at + 1] = Math.log(roughness / (blockSize - 1) + 1e-6);
    found[at + 2] = (10 * sum) / blockSize;
    found[at + 3] = (5 * size) / blockSize;
  }
  return found;
}
