import type { RecordVariance } from '../program/record.js';
import type { Jump } from '../schedule/jump.js';
import type { Combination } from '../schedule/prediction.js';

/**
 * The optimal reverse variance of every element, l^2 + gamma^2 C, C limited to [0, w^2 / 4] for data of width w (Bao et al. 2022,
 * "Estimating the optimal covariance with imperfect mean").
 *
 * - `npr`: the head predicts E[(eps - eps_hat)^2 | x_t], so that C = (B_t / A_t) h holds for an imperfect mean, too
 * - `sn`: the head predicts E[eps^2 | x_t], C = (B_t / A_t) (h - eps_hat^2), eps_hat unclipped
 *
 * @param noise - The network's noise prediction as a combination of state and output.
 */
export function headVariance(head: 'npr' | 'sn', step: Jump, noise: Combination): RecordVariance & { kind: 'linear' } {
  const { baseVariance, sensitivity, sigmaT, alphaT, dataWidth } = step;
  const scale = (sensitivity * (sigmaT / alphaT)) ** 2;
  return {
    kind: 'linear',
    offset: baseVariance,
    head: scale,
    epsilonSquared: head === 'sn' ? -scale : 0,
    epsilon: noise,
    low: baseVariance,
    high: baseVariance + (sensitivity * (dataWidth / 2)) ** 2,
  };
}
