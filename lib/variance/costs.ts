import { at } from '../base/arrays.js';
import { unknownName } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { requireSchedule, type NoiseSchedule } from '../schedule/noise-schedule.js';
import type { JumpCosts } from '../schedule/optimal-trajectory.js';
import { checkErrorTable, type ErrorTable } from './error-table.js';
import { momentsOf, requireSameSchedule, type GammaTable } from './gamma.js';

/** Lists ln A_n of a discrete schedule, n = 0..N. */
function logarithmsOf(schedule: NoiseSchedule): Float64Array {
  requireSchedule(schedule);
  if (!schedule.discrete) throw new DpmError('ERR_DPM_ARGUMENT', 'costs of jumps need a discrete noise schedule');
  return Float64Array.from({ length: schedule.steps + 1 }, (_, n) => schedule.logAlphaBar(n));
}

/**
 * Computes costs of jumps for the optimal trajectory of the analytic variance, J(s, t) = ln(1 - B_{t|s} Gamma_t): with
 * the best variance at every jump the bound on the likelihood is d / 2 times their sum and a constant (Bao et al. 2022,
 * section 4). Times from the first n with m_n > 1, which no exact score has, and as many before it are not trusted.
 *
 * @param schedule - A discrete schedule.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if the table does not fit the schedule.
 */
export function analyticCosts(schedule: NoiseSchedule, gamma: GammaTable | ArrayLike<number>): JumpCosts {
  const logs = logarithmsOf(schedule);
  const { steps } = schedule;
  const m = momentsOf(gamma, schedule);
  const scores = Float64Array.from({ length: steps + 1 }, (_, n) => (n === 0 ? 0 : at(m, n) / schedule.betaBar(n)));
  const wrong = Array.from(m).findIndex((value, n) => n > 0 && value > 1);
  const bad = wrong < 0 ? 0 : 2 * (steps - wrong + 1);
  return {
    first: 1,
    trusted: Math.max(steps - bad, 1),
    cost(s, t) {
      // The variance is not positive if B Gamma reaches 1: no path goes there.
      const reduction = Math.expm1(at(logs, t) - at(logs, s)) * at(scores, t);
      return reduction <= -1 ? Infinity : Math.log1p(reduction);
    },
  };
}

/** Fixed variance of DDPM: B_{t|s} or V_{s|t}. */
export type FixedVariance = 'beta' | 'beta-tilde';

const varianceNames: readonly FixedVariance[] = ['beta', 'beta-tilde'];

/**
 * Computes costs of jumps for the optimal trajectory of DDPM with a fixed variance: the terms of the bound on the
 * likelihood, in nats per dimension (Watson et al. 2021). The jump from t into the data costs its decoder; the one to s
 * > 0 (V / v - 1 + ln(v / V)) / 2 + gamma^2 e_t / (2 v), v the variance, V = V_{s|t} and gamma = sqrt(A_s) B_{t|s} /
 * B_t.
 *
 * @param schedule - A discrete schedule.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if the table does not fit the schedule.
 */
export function fixedVarianceCosts(schedule: NoiseSchedule, table: ErrorTable, variance: FixedVariance): JumpCosts {
  const logs = logarithmsOf(schedule);
  if (!varianceNames.includes(variance)) throw unknownName('variance', variance, varianceNames);
  const { steps } = schedule;
  checkErrorTable(table, steps);
  requireSameSchedule('the table of errors', table.schedule, schedule);
  const noise = Float64Array.from({ length: steps + 1 }, (_, n) => schedule.betaBar(n));
  return {
    first: 0,
    cost(s, t) {
      if (s === 0) return at(table.decoder, t);
      const forward = -Math.expm1(at(logs, t) - at(logs, s));
      const posterior = (forward * at(noise, s)) / at(noise, t);
      const chosen = variance === 'beta' ? forward : posterior;
      const ratio = posterior / chosen;
      const sensitivity = Math.exp(0.5 * at(logs, s)) * (forward / at(noise, t));
      return 0.5 * (ratio - 1 - Math.log(ratio) + (sensitivity ** 2 * at(table.squaredError, t)) / chosen);
    },
  };
}
