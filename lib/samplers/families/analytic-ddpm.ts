import { gammaLookup, widthOfData } from '../../variance/gamma.js';
import { analyticVariance } from '../../variance/reverse-variance.js';
import { gamma, reverseOptions } from '../common-options.js';
import { reverseSampler } from '../numerics/reverse-step.js';

/**
 * DDPM with the optimal isotropic variance (Analytic-DPM, Bao et al. 2022), from the table `gamma`. The last noise is
 * limited to 2 grey levels unless `lastNoiseClip` says otherwise or the table is of latents, which have no grey levels. On a
 * continuous schedule Gamma is interpolated in t.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option, often `gamma`.
 */
export const analyticDdpm = reverseSampler(
  {
    name: 'analytic-ddpm',
    summary: 'DDPM with the optimal variance (Analytic-DPM, Bao et al. 2022)',
    kind: 'step',
    options: { ...reverseOptions, gamma },
    head: null,
    needsGamma: true,
    bound: true,
  },
  (schedule, options) => {
    const m = gammaLookup('analytic-ddpm', options.gamma, schedule);
    const width = widthOfData(options.gamma);
    return {
      mean: 'markov',
      eta: 1,
      variance: (step) => ({ kind: 'scalar', deviation: Math.sqrt(analyticVariance(step, m(step.t), width)) }),
      lastNoiseClip: width === undefined ? 2 : null,
      head: null,
    };
  },
);
