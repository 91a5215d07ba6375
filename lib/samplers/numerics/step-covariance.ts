import { DpmError } from '../../base/errors.js';
import type { HostContext } from '../../program/host-context.js';
import type { Clip } from '../../program/record.js';
import type { Prediction } from '../../schedule/defaults.js';
import type { Jump } from '../../schedule/jump.js';
import type { NoiseSchedule } from '../../schedule/noise-schedule.js';
import { parametrisationOf, type Parametrisation } from '../../schedule/prediction.js';
import type { EigenvalueLimits, Operator } from './lanczos.js';

/** Step of the reverse process whose noise has a full covariance. */
export interface CovarianceStep {
  jump: Jump;
  parametrisation: Parametrisation;
  clip: Clip;
  /** Limits of the covariance: V is the least variance, and no mean variance exceeds that of data of the schedule's width. */
  limits: EigenvalueLimits;
  /** True if it adds noise. */
  isNoisy: boolean;
}

/**
 * Makes a step with a covariance of a jump.
 *
 * @param most - Maximum variance of its noise in any direction; Infinity: no limit.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if a noisy step starts from noise alone, without a useful derivative.
 */
export function covarianceStep(
  schedule: NoiseSchedule,
  options: { prediction?: Prediction },
  { jump, clip, isNoisy, most }: Pick<CovarianceStep, 'jump' | 'clip' | 'isNoisy'> & { most: number },
): CovarianceStep {
  if (isNoisy && jump.alphaT === 0) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      'full-ddpm has no covariance where a state is noise alone, as at the last time of betas that are rescaled to zero SNR: start at an earlier one (tStart, timesteps or levels)',
    );
  }
  const parametrisation = parametrisationOf(schedule, options, jump.alphaT, jump.sigmaT);
  const mean = jump.baseVariance + (jump.sensitivity * (jump.dataWidth / 2)) ** 2;
  const limits = { low: jump.baseVariance, high: most, mean };
  return { jump, parametrisation, clip, limits, isNoisy };
}

/** Scales the state for the network, in the tensor `input`. */
export async function scaleInput(context: HostContext, { parametrisation }: CovarianceStep): Promise<void> {
  await context.linearCombination('input', [[parametrisation.inputScale, 'x']]);
}

/**
 * Makes the operator v -> Sigma v = V v + gamma^2 Cov[x_0 | x_t] v at the state `x`, whose input to the network is in
 * `input`: Cov = (B / sqrt(A)) J with J the derivative of the data prediction, which is (B / A)(I - sqrt(B) J_eps) without
 * the difference that costs digits where a network predicts x_0 or v. Leaves the network's output in `out`.
 *
 * @param symmetric - Whether J is averaged with its transpose, for a second derivative.
 */
export function covarianceOperator(context: HostContext, step: CovarianceStep, symmetric: boolean): Operator {
  const { jump, parametrisation } = step;
  const { data, inputScale } = parametrisation;
  const scale = (jump.sensitivity ** 2 * jump.sigmaT ** 2) / jump.alphaT;
  const own = jump.baseVariance + scale * data.input;
  const share = (symmetric ? 0.5 : 1) * scale * data.output;
  return async (of, into) => {
    await context.linearCombination('direction', [[inputScale, of]]);
    await context.pushForward('input', jump.networkTime, 'direction', 'out', 'derivative');
    await context.linearCombination(into, [
      [own, of],
      [share, 'derivative'],
    ]);
    if (!symmetric) return;
    await context.pullBack('input', jump.networkTime, of, 'out', 'derivative');
    await context.linearCombination(into, [
      [1, into],
      [share * inputScale, 'derivative'],
    ]);
  };
}

/** Draws Rademacher's probes of one step of a host program: signs of normal numbers of draws of their own. */
async function drawSigns(context: HostContext, record: number, draw: number): Promise<void> {
  await context.noise('probe', record, draw);
  await context.apply('probe', ['probe'], (value) => (value < 0 ? -1 : 1));
}

/**
 * Multiplies the tensor `z` by the roots of the diagonal of Sigma, as `probes` probes estimate it: the mean of v * Sigma v
 * (Hutchinson's estimator, element by element), which is off by the elements beside the diagonal. Every element's covariance
 * of the data is limited by data of the schedule's width, as for heads.
 *
 * @param record - Record of the random stream; probes are its draws from 1 on.
 */
export async function scaleByDiagonal(
  context: HostContext,
  step: CovarianceStep,
  probes: number,
  record: number,
): Promise<void> {
  const operator = covarianceOperator(context, step, false);
  await context.linearCombination('diagonal', []);
  for (let probe = 1; probe <= probes; ++probe) {
    await drawSigns(context, record, probe);
    await operator('probe', 'product');
    await context.apply('diagonal', ['diagonal', 'probe', 'product'], (sum, sign, product) => sum + sign * product);
  }
  const { low, mean } = step.limits;
  const high = Math.min(mean, step.limits.high);
  await context.apply('z', ['z', 'diagonal'], (z, sum) => z * Math.sqrt(Math.min(Math.max(sum / probes, low), high)));
}

/** Computes the mean of a step in the tensor `x`, from the network's output in `out`. */
export async function moveToMean(context: HostContext, step: CovarianceStep): Promise<void> {
  const { jump, parametrisation, clip } = step;
  const { input, output } = parametrisation.data;
  await context.linearCombination(
    'data',
    [
      [input, 'x'],
      [output, 'out'],
    ],
    clip,
  );
  await context.linearCombination('x', [
    [jump.stateScale, 'x'],
    [jump.sensitivity, 'data'],
  ]);
}
