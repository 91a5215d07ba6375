import { reverseOptions } from '../common-options.js';
import { reverseSampler } from '../numerics/reverse-step.js';

/**
 * Ancestral sampling with the largest of the fixed variances, B_{t|s}, as in published comparisons with SDE solvers (Bao
 * et al. 2022): the last noise is limited to 1 grey level unless `lastNoiseClip` says otherwise.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const ancestral = reverseSampler(
  {
    name: 'ancestral',
    summary: 'DDPM with the largest fixed variance and its last noise limited (Bao et al. 2022)',
    kind: 'step',
    options: reverseOptions,
    head: null,
    needsGamma: false,
    fixedVariance: 'beta',
    bound: true,
  },
  () => ({
    mean: 'markov',
    eta: 1,
    variance: (step) => ({ kind: 'scalar', deviation: Math.sqrt(step.forwardVariance) }),
    lastNoiseClip: 1,
    head: null,
  }),
);
