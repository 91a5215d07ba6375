import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { sdeOptions } from '../common-options.js';
import type { NoiseLevel } from '../../schedule/noise-level.js';
import { sdeProgram, type SdeStep } from '../numerics/sde.js';
import { defineSampler, noBound } from '../sampler.js';

/** Makes a jump of the reverse diffusion predictor, b = B_{t|s}, mean (2 - sqrt(A_{t|s})) x + b score, variance b. */
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
 * those of Euler-Maruyama; nothing is clipped without `clip`.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const reverseDiffusion = defineSampler(
  {
    name: 'reverse-diffusion',
    summary: 'the reverse diffusion sampler, for 50 steps or more (Song et al. 2021)',
    fewestSteps: 50,
    kind: 'step',
    options: sdeOptions,
    head: null,
    needsGamma: false,
    bound: noBound.noChain,
  },
  (schedule, options) => {
    return sdeProgram(schedule, options, reverseDiffusionStep);
  },
);
