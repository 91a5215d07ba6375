import { headVariance } from '../../variance/reverse-variance.js';
import { avgCov, reverseOptions } from '../common-options.js';
import { headSampler } from '../numerics/head-sampler.js';

/**
 * DDPM with the optimal variance of every element (SN-DPM, Bao et al. 2022) from a head that predicts the expected
 * square of the noise. `avgCov` replaces it by its mean over the sample. The last noise is limited to 2 grey levels
 * unless `lastNoiseClip` says otherwise.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const snDdpm = headSampler(
  {
    name: 'sn-ddpm',
    summary: 'DDPM with the optimal variance of every element from a head (SN-DPM, Bao et al. 2022)',
    kind: 'either',
    options: { ...reverseOptions, avgCov },
    head: 'sn',
    needsGamma: false,
    bound: true,
  },
  () => ({
    mean: 'markov',
    eta: 1,
    variance: (step, noise) => headVariance('sn', step, noise),
    lastNoiseClip: 2,
    head: 'sn',
  }),
);
