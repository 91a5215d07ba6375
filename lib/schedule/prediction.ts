import { unknownName } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { predictionNames, type Prediction } from './defaults.js';
import { amplitudesOfNetworkTime } from './network-level.js';
import type { NoiseSchedule } from './noise-schedule.js';

/** Prediction as a linear function of the state and of the network's output. */
export interface Combination {
  /** Coefficient of the state. */
  input: number;
  /** Coefficient of the network's output. */
  output: number;
}

/** Data and noise prediction of a network with this parametrisation. */
export interface Parametrisation {
  data: Combination;
  noise: Combination;
  /** Factor of the state before the network sees it. */
  inputScale: number;
}

/** Predictions that give the data even if a state is noise alone. */
const finiteAtNoise: readonly Prediction[] = ['x0', 'v'];

/**
 * Computes the denoiser D(x, sigma) = c_skip x + c_out F(c_in x) for the state alpha x_0 + sigma eps (Karras et al.
 * 2022, table 1).
 *
 * @param sign - Sign of c_out: -1 for networks whose F is a velocity.
 */
function preconditioned(alpha: number, sigma: number, sigmaData: number, sign: 1 | -1): Parametrisation {
  const ratio = sigma / alpha;
  const total = ratio * ratio + sigmaData * sigmaData;
  const data = {
    input: (sigmaData * sigmaData) / total / alpha,
    output: (sign * ratio * sigmaData) / Math.sqrt(total),
  };
  return {
    data,
    // eps = (x / alpha - D) / ratio, the first coefficient without the difference of nearly equal numbers.
    noise: { input: ratio / total / alpha, output: -data.output / ratio },
    inputScale: 1 / Math.sqrt(total) / alpha,
  };
}

/**
 * Converts a network's output to predictions of x_0 and of the noise, for the state alpha x_0 + sigma eps. `score` is
 * the gradient of the log density, -eps / sigma; `v` is alpha eps - sigma x_0 (Salimans & Ho 2022); `edm` the
 * preconditioned denoiser of Karras et al. 2022 for data of standard deviation `sigmaData`, and `edm-v` the same of the
 * negative output (diffusers' EDM schedulers with `v_prediction`).
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for an unknown name, and for one without a data prediction if alpha is 0.
 */
export function parametrisation(
  prediction: Prediction,
  alpha: number,
  sigma: number,
  sigmaData = 0.5,
): Parametrisation {
  if (alpha === 0 && !finiteAtNoise.includes(prediction)) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `prediction '${prediction}' says nothing of the data where a state is noise alone, as at the last time of betas that are rescaled to zero SNR: the network has to predict x0 or v`,
    );
  }
  const inputScale = 1;
  // The formula of v assumes alpha^2 + sigma^2 = 1; the norm corrects it for other states.
  const norm = alpha * alpha + sigma * sigma;
  switch (prediction) {
    case 'epsilon':
      return { data: { input: 1 / alpha, output: -sigma / alpha }, noise: { input: 0, output: 1 }, inputScale };
    case 'x0':
      return { data: { input: 0, output: 1 }, noise: { input: 1 / sigma, output: -alpha / sigma }, inputScale };
    case 'v':
      return {
        data: { input: alpha / norm, output: -sigma / norm },
        noise: { input: sigma / norm, output: alpha / norm },
        inputScale,
      };
    case 'score':
      return {
        data: { input: 1 / alpha, output: (sigma * sigma) / alpha },
        noise: { input: 0, output: -sigma },
        inputScale,
      };
    case 'edm':
      return preconditioned(alpha, sigma, sigmaData, 1);
    case 'edm-v':
      return preconditioned(alpha, sigma, sigmaData, -1);
    default:
      throw unknownName('prediction', prediction, predictionNames);
  }
}

/** Finds the parametrisation of a sampler's option `prediction`, or the schedule's, at one noise level. */
export function parametrisationOf(
  { defaults }: NoiseSchedule,
  options: { prediction?: Prediction },
  alpha: number,
  sigma: number,
): Parametrisation {
  return parametrisation(options.prediction ?? defaults.prediction, alpha, sigma, defaults.sigmaData);
}

/**
 * Computes the change of a network's output per unit of a gradient of ln p at the state: the output of a network whose
 * score is greater by that gradient (Dhariwal & Nichol 2021, algorithm 2: eps - sigma g). The network knows only its
 * time, so the amplitudes are those of its schedule at that time, whatever the sampler's levels.
 *
 * @param prediction - Meaning of the output. Default: the schedule's.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for an unknown prediction.
 */
export function guidedOutputShift(schedule: NoiseSchedule, networkTime: number, prediction?: string): number {
  const { alpha, sigma } = amplitudesOfNetworkTime(schedule, networkTime);
  // Noise alone holds no information about its image: there is nothing to guide by.
  if (alpha === 0) return 0;
  const known = predictionNames.find((name) => name === prediction);
  if (prediction !== undefined && known === undefined) throw unknownName('prediction', prediction, predictionNames);
  const { data } = parametrisationOf(schedule, known === undefined ? {} : { prediction: known }, alpha, sigma);
  return sigma ** 2 / (alpha * data.output);
}
