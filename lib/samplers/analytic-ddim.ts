import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import { analyticVariance } from '../variance/analytic.js';
import { gammaLookup } from '../variance/gamma.js';
import { checkOptionNames, discreteOptionNames, etaOf, type SamplerOptions } from './options.js';
import type { StepProgram } from './program.js';
import { reverseProgram } from './reverse-step.js';

/**
 * DDIM with the optimal isotropic variance (Analytic-DPM, Bao et al. 2022), from the table `gamma`: even at `eta` = 0 it
 * adds the noise the posterior of the data calls for. The last noise is limited to 1 grey level unless `lastNoiseClip`
 * says otherwise.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong, `gamma` above all.
 */
export function analyticDdim(schedule: NoiseSchedule, options: SamplerOptions = {}): StepProgram {
  checkOptionNames('analytic-ddim', options, [...discreteOptionNames, 'eta', 'gamma']);
  const m = gammaLookup('analytic-ddim', options.gamma, schedule.steps);
  return reverseProgram(schedule, options, {
    mean: 'direction',
    eta: etaOf(options.eta),
    variance: (step) => ({ kind: 'scalar', deviation: Math.sqrt(analyticVariance(step, m(step.t))) }),
    lastNoiseClip: 1,
    head: null,
  });
}
