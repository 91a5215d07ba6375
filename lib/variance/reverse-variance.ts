import { wrongValue } from '../base/checks.js';
import { kinds, requireKind } from '../base/option-kinds.js';
import type { RecordVariance } from '../program/record.js';
import type { Jump } from '../schedule/jump.js';
import type { Combination } from '../schedule/prediction.js';

/**
 * Computes the standard deviation whose noise changes a pixel by `levels` grey levels on average, E|sigma z| = levels
 * (Bao et al. 2022, appendix on the noise of the last step).
 *
 * @param dataRange - Width of the data's interval, 255 grey levels: 2 for [-1, 1].
 */
export function lastNoiseDeviation(levels: number, dataRange = 2): number {
  if (!Number.isFinite(levels) || levels < 0)
    throw wrongValue('lastNoiseClip', levels, 'a number of grey levels or null');
  requireKind('dataRange', dataRange, kinds.finite);
  return levels * (dataRange / 255) * Math.sqrt(Math.PI / 2);
}

/** Computes the mean posterior variance E tr Cov(x_0 | x_t) / d = (B_t / A_t)(1 - m), before any limit. */
function dataCovariance(step: Jump, m: number): number {
  return (step.sigmaT / step.alphaT) ** 2 * (1 - m);
}

function widthOf(step: Jump): number {
  requireKind('the jump', step, kinds.object);
  for (const name of ['alphaT', 'sigmaT', 'baseVariance', 'sensitivity', 'dataWidth'] as const) {
    requireKind(`${name} of the jump`, step[name], kinds.number);
  }
  return step.dataWidth;
}

/**
 * Computes the optimal isotropic reverse variance l^2 + gamma^2 C (Bao et al. 2022, theorem 1), C the mean posterior
 * variance of the data, limited to [0, `dataRange`^2 / 4].
 *
 * @param step - The jump.
 * @param m - Moment E||eps||^2 / d of the network at t.
 * @param dataRange - Width of the data's interval, by default the schedule's; Infinity: no limit from the data.
 */
export function analyticVariance(step: Jump, m: number, dataRange = widthOf(step)): number {
  requireKind('m', m, kinds.number);
  requireKind('dataRange', dataRange, kinds.number);
  const covariance = Math.min(Math.max(dataCovariance(step, m), 0), (dataRange / 2) ** 2);
  return step.baseVariance + step.sensitivity ** 2 * covariance;
}

/**
 * Computes bounds of the optimal reverse variance: l^2 below; above, the lesser of the limits of an uninformative
 * posterior and of data of this range (Bao et al. 2022, theorem 2).
 */
export function analyticVarianceBounds(step: Jump, dataRange = widthOf(step)): { low: number; high: number } {
  requireKind('dataRange', dataRange, kinds.number);
  const widest = Math.min((step.sigmaT / step.alphaT) ** 2, (dataRange / 2) ** 2);
  return { low: step.baseVariance, high: step.baseVariance + step.sensitivity ** 2 * widest };
}

/**
 * Computes the optimal reverse variance of every element, l^2 + gamma^2 C, C limited to [0, w^2 / 4] for data of width
 * w (Bao et al. 2022, "Estimating the optimal covariance with imperfect mean"; Ou et al. 2024, "Improving probabilistic
 * diffusion models with optimal diagonal covariance matching").
 *
 * - `npr`: the head predicts E[(eps - eps_hat)^2 | x_t], so that C = (B_t / A_t) h holds for an imperfect mean, too
 * - `sn`: the head predicts E[eps^2 | x_t], C = (B_t / A_t) (h - eps_hat^2), eps_hat unclipped
 * - `ocm`: the head predicts B_t times the diagonal of the Hessian of ln q(x_t), C = (B_t / A_t) (1 + h)
 *
 * @param noise - The network's noise prediction as a combination of state and output.
 */
export function headVariance(
  head: 'npr' | 'sn' | 'ocm',
  step: Jump,
  noise: Combination,
): RecordVariance & { kind: 'linear' } {
  const { baseVariance, sensitivity, sigmaT, alphaT, dataWidth } = step;
  const scale = (sensitivity * (sigmaT / alphaT)) ** 2;
  return {
    kind: 'linear',
    offset: head === 'ocm' ? baseVariance + scale : baseVariance,
    head: scale,
    epsilonSquared: head === 'sn' ? -scale : 0,
    epsilon: noise,
    low: baseVariance,
    high: baseVariance + (sensitivity * (dataWidth / 2)) ** 2,
  };
}
