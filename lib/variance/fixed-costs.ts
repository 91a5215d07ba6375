import { at } from '../base/arrays.js';
import { unknownName } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { requireSchedule, type NoiseSchedule } from '../schedule/noise-schedule.js';
import type { JumpCosts } from '../schedule/optimal-trajectory.js';
import { checkErrorTable, type ErrorTable } from './error-table.js';
import { requireSameSchedule } from './gamma.js';

/** The fixed variances of DDPM: B_{t|s} or V_{s|t}. */
export type FixedVariance = 'beta' | 'beta-tilde';

const varianceNames: readonly FixedVariance[] = ['beta', 'beta-tilde'];

/**
 * Costs of jumps for the optimal trajectory of DDPM with a fixed variance: the terms of the bound on the likelihood, in nats per
 * dimension (Watson et al. 2021). The jump from t into the data costs its decoder; the one to s > 0
 * (V / v - 1 + ln(v / V)) / 2 + gamma^2 e_t / (2 v), v the variance, V = V_{s|t} and gamma = sqrt(A_s) B_{t|s} / B_t.
 *
 * @param schedule - A discrete schedule.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` when the table does not fit the schedule.
 */
export function fixedVarianceCosts(schedule: NoiseSchedule, table: ErrorTable, variance: FixedVariance): JumpCosts {
  requireSchedule(schedule);
  if (!schedule.discrete) throw new DpmError('ERR_DPM_ARGUMENT', 'costs of jumps need a discrete noise schedule');
  if (!varianceNames.includes(variance)) throw unknownName('variance', variance, varianceNames);
  const { steps } = schedule;
  checkErrorTable(table, steps);
  requireSameSchedule('the table of errors', table.schedule, schedule);
  const logs = Float64Array.from({ length: steps + 1 }, (_, n) => schedule.logAlphaBar(n));
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
