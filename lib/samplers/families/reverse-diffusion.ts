import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import type { NoiseLevel } from '../numerics/noise-level.js';
import type { SamplerOptions } from '../options.js';
import type { StepProgram } from '../../program/program.js';
import { sdeProgram, type SdeStep } from '../numerics/sde.js';

/** A jump of the reverse diffusion predictor with b = B_{t|s}, mean (2 - sqrt(A_{t|s})) x + b score, variance b. */
export function reverseDiffusionStep(sde: NoiseSchedule, { time, sigma }: NoiseLevel, s: number): SdeStep {
  const variance = sde.betaBarBetween(s, time);
  return {
    state: 2 - Math.sqrt(sde.alphaBarBetween(s, time)),
    noise: -variance / sigma,
    deviation: Math.sqrt(variance),
  };
}

/**
 * The reverse diffusion sampler (Song et al. 2021, appendix E): the forward jump's own discretisation, reversed. Times as
 * those of Euler-Maruyama; nothing is clipped unless `clip` says so.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export function reverseDiffusion(schedule: NoiseSchedule, options: SamplerOptions = {}): StepProgram {
  return sdeProgram('reverse-diffusion', schedule, options, reverseDiffusionStep);
}
