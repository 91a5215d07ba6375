// Cells of the table: blocks drawn by one of the library's samplers from the exact prediction, and their distance from true ones.
import { discreteTransitions, NoiseSchedule, runProgram, samplers } from '../../dist/index.js';
import { frechetDistance, moments } from '../quality/frechet.mjs';
import {
  blockSize,
  drawBlocks,
  exactPrediction,
  featureCount,
  features,
  RandomStream,
  ScalePosterior,
  scaleVariances,
  secondMoment,
} from './problem.mjs';

const trueCount = 400_000;
const gammaCount = 20_000;
/** The seeds of three sets of true blocks: those to compare with, those for the second moments and those for the floor. */
const seeds = { truth: 1, gamma: 2, floor: 3 };
/** The network's time at t = 1. */
const timeScale = 999;

const momentsOf = (blocks) => moments(features(blocks), featureCount);

export class BlockProblem {
  #schedule = NoiseSchedule.vpDiscrete();
  #variances;
  #truth;
  #gammaBlocks;
  #gammaRandom = new RandomStream(seeds.gamma);
  #gamma;
  #device;

  /** @param {number} smallest - Smallest variance s^2 of a scale. */
  constructor(smallest, device) {
    this.#device = device;
    this.#variances = scaleVariances(smallest);
    this.#truth = momentsOf(drawBlocks(this.#variances, trueCount, new RandomStream(seeds.truth)));
    this.#gammaBlocks = drawBlocks(this.#variances, gammaCount, this.#gammaRandom);
    this.#gamma = new Float64Array(this.#schedule.steps + 1);
  }

  /** The distance of equally many true blocks, as the floor. */
  floor(samples) {
    const blocks = drawBlocks(this.#variances, samples, new RandomStream(seeds.floor));
    return frechetDistance(momentsOf(blocks), this.#truth);
  }

  /** Computes the table m_n, if K steps need it. */
  #gammaFor(steps) {
    for (const { t } of discreteTransitions(this.#schedule, { steps })) {
      if (this.#gamma[t] !== 0) continue;
      const posterior = new ScalePosterior(this.#variances, t / this.#schedule.steps);
      this.#gamma[t] = secondMoment(posterior, this.#gammaBlocks, this.#gammaRandom);
    }
    return this.#gamma;
  }

  #program({ sampler, options }, steps) {
    if (!Object.hasOwn(samplers, sampler)) {
      throw new Error(`sampler '${sampler}' is unknown; use one of ${Object.keys(samplers).join(', ')}`);
    }
    const gamma = sampler.startsWith('analytic-') ? { gamma: this.#gammaFor(steps) } : {};
    return samplers[sampler](this.#schedule, { ...options, ...gamma, steps });
  }

  /** The Frechet distance of `samples` blocks of one seed from true ones. */
  async distance(row, steps, samples, seed) {
    const program = this.#program(row, steps);
    const posteriors = new Map();
    const posteriorAt = (time) => {
      if (!posteriors.has(time)) posteriors.set(time, new ScalePosterior(this.#variances, time / timeScale));
      return posteriors.get(time);
    };
    const head = program.head ?? null;
    const blocks = await runProgram(program, {
      shape: [samples, blockSize],
      model: (x, time) => exactPrediction(posteriorAt(time), x, head),
      seed,
      device: this.#device,
    });
    return frechetDistance(momentsOf(blocks), this.#truth);
  }
}
