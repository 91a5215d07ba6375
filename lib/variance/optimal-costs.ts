import { at } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { requireSchedule, type NoiseSchedule } from '../schedule/noise-schedule.js';
import type { JumpCosts } from '../schedule/optimal-trajectory.js';
import { momentsOf, type GammaTable } from './gamma.js';

/**
 * Costs of jumps for the optimal trajectory of the analytic variance, J(s, t) = ln(1 - B_{t|s} Gamma_t): with the best
 * variance at every jump the bound on the likelihood is d / 2 times their sum and a constant (Bao et al. 2022, section 4).
 * From the first n on at which m_n exceeds 1, which no exact score has, times are not trusted: nor as many before it.
 *
 * @param schedule - A discrete schedule.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` when the table does not fit the schedule.
 */
export function analyticCosts(schedule: NoiseSchedule, gamma: GammaTable | ArrayLike<number>): JumpCosts {
  requireSchedule(schedule);
  if (!schedule.discrete) throw new DpmError('ERR_DPM_ARGUMENT', 'costs of jumps need a discrete noise schedule');
  const { steps } = schedule;
  const m = momentsOf(gamma, schedule);
  const scores = Float64Array.from({ length: steps + 1 }, (_, n) => (n === 0 ? 0 : at(m, n) / schedule.betaBar(n)));
  const logs = Float64Array.from({ length: steps + 1 }, (_, n) => schedule.logAlphaBar(n));
  const wrong = Array.from(m).findIndex((value, n) => n > 0 && value > 1);
  const bad = wrong < 0 ? 0 : 2 * (steps - wrong + 1);
  return {
    first: 1,
    trusted: Math.max(steps - bad, 1),
    cost(s, t) {
      // Where B Gamma reaches 1 the variance is not positive: no path goes there.
      const reduction = Math.expm1(at(logs, t) - at(logs, s)) * at(scores, t);
      return reduction <= -1 ? Infinity : Math.log1p(reduction);
    },
  };
}
