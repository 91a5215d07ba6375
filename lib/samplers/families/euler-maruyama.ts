import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import type { SamplerOptions } from '../options.js';
import type { StepProgram } from '../../program/program.js';
import { sdeProgram } from '../numerics/sde.js';

/**
 * The Euler-Maruyama method on the reverse SDE (Song et al. 2021, equation 6) at `steps` times, by default evenly spaced
 * from 1 to 1e-3 (1/N on a discrete schedule), and from there to the data. Nothing is clipped unless `clip` says so.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export function eulerMaruyama(schedule: NoiseSchedule, options: SamplerOptions = {}): StepProgram {
  return sdeProgram('euler-maruyama', schedule, options, (sde, { time, sigma }, s) => {
    const step = s - time;
    const diffusion = sde.diffusion(time);
    return {
      state: 1 - 0.5 * sde.rate(time) * step,
      noise: (diffusion / sigma) * step,
      deviation: Math.sqrt(-diffusion * step),
    };
  });
}
