import { headVariance } from '../../variance/reverse-variance.js';
import { avgCov, eta, reverseOptions } from '../common-options.js';
import { headSampler } from '../numerics/head-sampler.js';
import { noBound } from '../sampler.js';

/**
 * DDIM with the optimal variance of every element (NPR-DPM, Bao et al. 2022) from a head that predicts the expected squared
 * error of the noise prediction, correct for an imperfect mean, too. `avgCov` replaces it by its mean over the sample. The
 * last noise is limited to 1 grey level unless `lastNoiseClip` says otherwise.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const nprDdim = headSampler(
  {
    name: 'npr-ddim',
    summary: 'DDIM with the optimal variance of every element from a head (NPR-DPM, Bao et al. 2022)',
    kind: 'either',
    options: { ...reverseOptions, eta, avgCov },
    head: 'npr',
    needsGamma: false,
    bound: noBound.notMarkov,
  },
  (_, options) => ({
    mean: 'direction',
    eta: options.eta ?? 0,
    variance: (step, noise) => headVariance('npr', step, noise),
    lastNoiseClip: 1,
    head: 'npr',
  }),
);
