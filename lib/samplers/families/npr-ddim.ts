import { headDdim } from '../numerics/head-sampler.js';

/**
 * DDIM with the optimal variance of every element (NPR-DPM, Bao et al. 2022) from a head that predicts the expected squared
 * error of the noise prediction, correct for an imperfect mean, too. `avgCov` replaces it by its mean over the sample. The
 * last noise is limited to 1 grey level unless `lastNoiseClip` says otherwise.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const nprDdim = headDdim('npr', 'NPR-DPM, Bao et al. 2022');
