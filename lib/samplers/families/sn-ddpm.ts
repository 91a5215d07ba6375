import { headDdpm } from '../numerics/head-sampler.js';

/**
 * DDPM with the optimal variance of every element (SN-DPM, Bao et al. 2022) from a head that predicts the expected
 * square of the noise. `avgCov` replaces it by its mean over the sample. The last noise is limited to 2 grey levels
 * unless `lastNoiseClip` says otherwise.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const snDdpm = headDdpm('sn', 'SN-DPM, Bao et al. 2022');
