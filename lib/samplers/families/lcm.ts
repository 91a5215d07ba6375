import { at } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { linear, stepProgram, stepRecord } from '../../program/builder.js';
import { dataLevel, noiseLevel, type NoiseLevel } from '../../schedule/noise-level.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { clip, levelOptions, prediction, steps } from '../common-options.js';
import { evaluation } from '../numerics/evaluation.js';
import { givenLevels, refuseBoth, scalarVariance } from '../numerics/solver-plan.js';
import { integerOption, positiveOption } from '../option.js';
import { clipOf, type SamplerOptions } from '../options.js';
import { defineSampler, noBound } from '../sampler.js';

/** Standard deviation of the data in the boundary condition of consistency models (Song et al. 2023). */
const sigmaData = 0.5;

/** Computes c_skip and c_out of the boundary condition f(x, 0) = x at a scaled time. */
function boundary(time: number): { skip: number; out: number } {
  const total = time * time + sigmaData * sigmaData;
  return { skip: (sigmaData * sigmaData) / total, out: time / Math.sqrt(total) };
}

/**
 * Lists decreasing 0-based times of a consistency model that was distilled from `original` steps.
 *
 * @param strength - Share of these steps, the last ones, that the times are of.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if there are not so many.
 */
export function lcmTimes(trained: number, original: number, count: number, strength = 1): number[] {
  if (!(original >= 1 && original <= trained)) {
    throw new DpmError('ERR_DPM_ARGUMENT', `originalSteps is ${original}, the network has ${trained} times`);
  }
  const used = Math.floor(original * strength);
  if (!Number.isInteger(count) || count < 1 || count > used) {
    throw new DpmError('ERR_DPM_ARGUMENT', `steps is ${count}, it has to be an integer from 1 to ${used} for lcm`);
  }
  const stride = Math.floor(trained / original);
  return Array.from({ length: count }, (_, i) => (used - Math.floor(i * (used / count))) * stride - 1);
}

function levelsOf(schedule: NoiseSchedule, options: SamplerOptions): NoiseLevel[] {
  if (options.levels !== undefined) {
    if (options.originalSteps !== undefined) throw refuseBoth('levels', 'originalSteps');
    return givenLevels(schedule, options);
  }
  if (!schedule.discrete) throw new DpmError('ERR_DPM_ARGUMENT', 'sampler lcm needs a discrete noise schedule');
  const { steps: count = 0, originalSteps = 50 } = options;
  return [...lcmTimes(schedule.steps, originalSteps, count).map((time) => noiseLevel(schedule, time + 1)), dataLevel];
}

/**
 * Sampling of latent consistency models (Luo et al. 2023): each evaluation predicts the data, to which the noise of the
 * next level is added; `steps` of the `originalSteps` the model was distilled from.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const lcm = defineSampler(
  {
    name: 'lcm',
    summary: 'consistency models, noise again after every evaluation (Luo et al. 2023)',
    kind: 'step',
    options: {
      steps,
      ...levelOptions,
      clip,
      prediction,
      originalSteps: integerOption('steps that the model was distilled from, default 50', 1, 1_000_000),
      timestepScaling: positiveOption('factor of the time in the boundary condition, default 10'),
    },
    head: null,
    needsGamma: false,
    bound: noBound.noChain,
  },
  (schedule, options) => {
    const { timestepScaling = 10 } = options;
    const levels = levelsOf(schedule, options);
    const plan = { schedule, prediction: options.prediction, clip: clipOf(schedule, options.clip) };
    const records = levels.slice(1).map((to, i) => {
      const from = at(levels, i);
      const { skip, out } = boundary(timestepScaling * from.networkTime);
      return stepRecord({
        ...evaluation(plan, from, 'data'),
        x: linear({ x: to.alpha * skip, history: [to.alpha * out] }),
        variance: scalarVariance(to.sigma),
      });
    });
    return stepProgram(records, { initialScale: options.initialScale ?? 1 });
  },
);
