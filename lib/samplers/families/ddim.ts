import { clippedNoise, eta, levelOptions, reverseOptions } from '../common-options.js';
import { reverseSampler } from '../numerics/reverse-step.js';
import { noBound } from '../sampler.js';

/**
 * DDIM (Song et al. 2020, equation 12). `eta` = 0, the default, is deterministic; 1 has the variance of DDPM's posterior. If
 * the data prediction is clipped, the direction keeps the unclipped noise prediction, as in diffusers, unless `clippedNoise`
 * is true (its `use_clipped_model_output`, as in guided-diffusion).
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const ddim = reverseSampler(
  {
    name: 'ddim',
    summary: 'DDIM (Song et al. 2020)',
    kind: 'step',
    options: { ...reverseOptions, ...levelOptions, eta, clippedNoise },
    head: null,
    needsGamma: false,
    bound: noBound.notMarkov,
  },
  (_, options) => ({
    mean: options.clippedNoise === true ? 'clipped-direction' : 'direction',
    eta: options.eta ?? 0,
    variance: (step) => ({ kind: 'scalar', deviation: Math.sqrt(step.baseVariance) }),
    lastNoiseClip: null,
    head: null,
  }),
);
