import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import { analyticVariance } from '../variance/analytic.js';
import { gammaLookup } from '../variance/gamma.js';
import { checkOptionNames, discreteOptionNames, type SamplerOptions } from './options.js';
import type { StepProgram } from './program.js';
import { reverseProgram } from './reverse-step.js';

/**
 * DDPM with the optimal isotropic variance (Analytic-DPM, Bao et al. 2022), from the table `gamma`. The last noise is
 * limited to 2 grey levels unless `lastNoiseClip` says otherwise.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong, `gamma` above all.
 */
export function analyticDdpm(schedule: NoiseSchedule, options: SamplerOptions = {}): StepProgram {
  checkOptionNames('analytic-ddpm', options, [...discreteOptionNames, 'gamma']);
  const m = gammaLookup('analytic-ddpm', options.gamma, schedule.steps);
  return reverseProgram(schedule, options, {
    mean: 'markov',
    eta: 1,
    variance: (step) => ({ kind: 'scalar', deviation: Math.sqrt(analyticVariance(step, m(step.t))) }),
    lastNoiseClip: 2,
    head: null,
  });
}
