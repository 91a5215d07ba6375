import { analyticVariance } from '../../variance/analytic.js';
import { gammaLookup } from '../../variance/gamma.js';
import { etaOf } from '../options.js';
import { reverseSampler } from '../numerics/reverse-step.js';

/**
 * DDIM with the optimal isotropic variance (Analytic-DPM, Bao et al. 2022), from the table `gamma`: even at `eta` = 0 it
 * adds the noise the posterior of the data calls for. The last noise is limited to 1 grey level unless `lastNoiseClip`
 * says otherwise.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong, `gamma` above all.
 */
export const analyticDdim = reverseSampler('analytic-ddim', ['eta', 'gamma'], (schedule, options) => {
  const m = gammaLookup('analytic-ddim', options.gamma, schedule);
  return {
    mean: 'direction',
    eta: etaOf(options.eta),
    variance: (step) => ({ kind: 'scalar', deviation: Math.sqrt(analyticVariance(step, m(step.t))) }),
    lastNoiseClip: 1,
    head: null,
  };
});
