import { unknownName } from '../../base/checks.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { checkOptionNames, refuseNull, type SamplerOptions } from '../options.js';
import type { Program } from '../../program/program.js';
import { runge45Program } from '../numerics/runge-kutta.js';
import { sdeEvaluation, sdeOptionNames, sdeProgram } from '../numerics/sde.js';

/**
 * The probability flow ODE (Song et al. 2021, equation 13).
 *
 * - `solver: 'euler'`, the default: `steps` times as those of Euler-Maruyama and a step to the data
 * - `solver: 'rk45'`: Dormand and Prince's adaptive method, every sample with steps of its own (`batchNorm: 'reference'`:
 *   one step for all, as the authors' code has it); `atol` and `rtol` are 1e-5 by default, and no `steps` are given
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option that is wrong.
 */
export function probabilityFlow(schedule: NoiseSchedule, options: SamplerOptions = {}): Program {
  refuseNull('probability-flow', options);
  const { solver = 'euler', ...rest } = options;
  switch (solver) {
    case 'euler':
      return sdeProgram('probability-flow', schedule, rest, (sde, { time, sigma }, s) => {
        const step = s - time;
        return {
          state: 1 - 0.5 * sde.rate(time) * step,
          noise: ((0.5 * sde.diffusion(time)) / sigma) * step,
          deviation: 0,
        };
      });
    case 'rk45': {
      checkOptionNames('probability-flow with rk45', rest, [
        ...sdeOptionNames.filter((name) => name !== 'steps' && name !== 'trajectory'),
        'atol',
        'rtol',
        'batchNorm',
      ]);
      return runge45Program(sdeEvaluation(schedule, rest), rest);
    }
    default:
      throw unknownName('solver', solver, ['euler', 'rk45']);
  }
}
