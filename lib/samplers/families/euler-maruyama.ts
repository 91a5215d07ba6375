import { sdeOptions } from '../common-options.js';
import { sdeProgram } from '../numerics/sde.js';
import { defineSampler, noBound } from '../sampler.js';

/**
 * The Euler-Maruyama method on the reverse SDE (Song et al. 2021, equation 6) at `steps` times, by default evenly spaced
 * from 1 to 1e-3 (1/N on a discrete schedule), and from there to the data. Nothing is clipped without `clip`.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the wrong option.
 */
export const eulerMaruyama = defineSampler(
  {
    name: 'euler-maruyama',
    summary: 'the Euler-Maruyama method on the reverse SDE, for 50 steps or more (Song et al. 2021)',
    fewestSteps: 50,
    kind: 'step',
    options: sdeOptions,
    head: null,
    needsGamma: false,
    bound: noBound.noChain,
  },
  (schedule, options) => {
    return sdeProgram(schedule, options, (sde, { time, sigma }, s) => {
      const step = s - time;
      const diffusion = sde.diffusion(time);
      return {
        state: 1 - 0.5 * sde.rate(time) * step,
        noise: (diffusion / sigma) * step,
        deviation: Math.sqrt(-diffusion * step),
      };
    });
  },
);
