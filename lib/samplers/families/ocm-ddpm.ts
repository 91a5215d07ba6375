import { headVariance } from '../../variance/reverse-variance.js';
import { avgCov, reverseOptions } from '../common-options.js';
import { headSampler } from '../numerics/head-sampler.js';

/**
 * DDPM with the optimal variance of every element (OCM-DPM, Ou et al. 2024) from a head that predicts the curvature
 * of the noised data's log density, B_t times the diagonal of its Hessian. `avgCov` replaces the variance by its mean over the
 * sample. The last noise is limited to 2 grey levels unless `lastNoiseClip` says otherwise.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const ocmDdpm = headSampler(
  {
    name: 'ocm-ddpm',
    summary: 'DDPM with the optimal variance of every element from a head (OCM-DPM, Ou et al. 2024)',
    kind: 'either',
    options: { ...reverseOptions, avgCov },
    head: 'ocm',
    needsGamma: false,
    bound: true,
  },
  () => ({
    mean: 'markov',
    eta: 1,
    variance: (step, noise) => headVariance('ocm', step, noise),
    lastNoiseClip: 2,
    head: 'ocm',
  }),
);
