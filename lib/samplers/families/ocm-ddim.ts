import { headVariance } from '../../variance/reverse-variance.js';
import { avgCov, eta, reverseOptions } from '../common-options.js';
import { headSampler } from '../numerics/head-sampler.js';
import { noBound } from '../sampler.js';

/**
 * DDIM with the optimal variance of every element (OCM-DPM, Ou et al. 2024) from a head that predicts the curvature
 * of the noised data's log density, B_t times the diagonal of its Hessian. `avgCov` replaces the variance by its mean over the
 * sample. The last noise is limited to 1 grey level unless `lastNoiseClip` says otherwise.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const ocmDdim = headSampler(
  {
    name: 'ocm-ddim',
    summary: 'DDIM with the optimal variance of every element from a head (OCM-DPM, Ou et al. 2024)',
    kind: 'either',
    options: { ...reverseOptions, eta, avgCov },
    head: 'ocm',
    needsGamma: false,
    bound: noBound.notMarkov,
  },
  (_, options) => ({
    mean: 'direction',
    eta: options.eta ?? 0,
    variance: (step, noise) => headVariance('ocm', step, noise),
    lastNoiseClip: 1,
    head: 'ocm',
  }),
);
