import type { RecordVariance } from '../../program/record.js';
import type { Jump } from '../../schedule/jump.js';
import { finalNoise, levelOptions, reverseOptions } from '../common-options.js';
import { reverseSampler } from '../numerics/reverse-step.js';
import { choiceOption } from '../option.js';

const varianceNames = ['beta', 'beta-tilde', 'learned'] as const;

/** Bound of variances: finite, as records need, and far above those of any trained network. */
const unbounded = 1e30;

/** Variance of the jump to the data, whose posterior variance is 0 (diffusers, as Ho et al.). */
const leastVariance = 1e-20;

/** Interpolates ln sigma^2 between ln V and ln B_{t|s}, at (h + 1) / 2 of the way (Nichol & Dhariwal 2021). */
function learnedRange(step: Jump): RecordVariance {
  const low = Math.log(Math.max(step.posteriorVariance, leastVariance));
  const high = Math.log(step.forwardVariance);
  return { kind: 'log', offset: (high + low) / 2, head: (high - low) / 2, low: 0, high: unbounded };
}

function fixedVariance(kind: 'beta' | 'beta-tilde', step: Jump): RecordVariance {
  const variance = kind === 'beta' ? step.forwardVariance : step.posteriorVariance;
  return { kind: 'scalar', deviation: Math.sqrt(variance) };
}

/** Gives the variance by which a guide moves the mean of the jump to the data: in guided-diffusion that of the jump before. */
function guideVariance(kind: (typeof varianceNames)[number], step: Jump, { posteriorVariance }: Jump): RecordVariance {
  if (kind === 'beta-tilde') return { kind: 'none' };
  if (kind === 'learned') return learnedRange({ ...step, posteriorVariance });
  return { kind: 'scalar', deviation: Math.sqrt(posteriorVariance) };
}

/**
 * Ancestral sampling of DDPM (Ho et al. 2020) on any sub-trajectory.
 *
 * `variance`: `beta` = B_{t|s}, `beta-tilde` = V_{s|t}, `learned` = interpolated by the network's second half of output
 * channels; by default the scheduler's. The mean uses the clipped data prediction and the state.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const ddpm = reverseSampler(
  {
    name: 'ddpm',
    summary: 'DDPM, ancestral with a fixed or learned variance (Ho et al. 2020)',
    kind: 'step',
    options: {
      ...reverseOptions,
      ...levelOptions,
      variance: choiceOption("variance of the noise, default the scheduler's", varianceNames, 'KIND'),
      finalNoise,
    },
    head: null,
    needsGamma: false,
    bound: true,
  },
  (schedule, options) => {
    const kind = options.variance ?? schedule.defaults.variance;
    return {
      mean: 'markov',
      eta: 1,
      variance: kind === 'learned' ? learnedRange : (step) => fixedVariance(kind, step),
      guideVariance: (step, before) => guideVariance(kind, step, before),
      lastNoiseClip: null,
      head: kind === 'learned' ? 'learned' : null,
      finalNoise: options.finalNoise,
    };
  },
);
