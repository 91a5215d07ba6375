import { gammaLookup, widthOfData } from '../../variance/gamma.js';
import { analyticVariance } from '../../variance/reverse-variance.js';
import { eta, gamma, reverseOptions } from '../common-options.js';
import { reverseSampler } from '../numerics/reverse-step.js';
import { noBound } from '../sampler.js';

/**
 * DDIM with the optimal isotropic variance (Analytic-DPM, Bao et al. 2022), from the table `gamma`: even at `eta` = 0 it
 * adds the noise of the data's posterior. The last noise is limited to 1 grey level unless `lastNoiseClip` says otherwise or
 * the table is of latents, which have no grey levels.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option, often `gamma`.
 */
export const analyticDdim = reverseSampler(
  {
    name: 'analytic-ddim',
    summary: 'DDIM with the optimal variance (Analytic-DPM, Bao et al. 2022)',
    kind: 'step',
    options: { ...reverseOptions, eta, gamma },
    head: null,
    needsGamma: true,
    bound: noBound.notMarkov,
  },
  (schedule, options) => {
    const m = gammaLookup('analytic-ddim', options.gamma, schedule);
    const width = widthOfData(options.gamma);
    return {
      mean: 'direction',
      eta: options.eta ?? 0,
      variance: (step) => ({ kind: 'scalar', deviation: Math.sqrt(analyticVariance(step, m(step.t), width)) }),
      lastNoiseClip: width === undefined ? 1 : null,
      head: null,
    };
  },
);
