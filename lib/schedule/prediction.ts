import { unknownName } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { predictionNames, type Prediction } from './defaults.js';
import { amplitudesOfNetworkTime } from './network-level.js';
import type { NoiseSchedule } from './noise-schedule.js';

/** A prediction as a linear function of the state and of the network's output. */
export interface Combination {
  /** Coefficient of the state. */
  input: number;
  /** Coefficient of the network's output. */
  output: number;
}

/** The data and the noise prediction of a network with this parametrisation. */
export interface Parametrisation {
  data: Combination;
  noise: Combination;
  /** What the state is multiplied by before the network sees it. */
  inputScale: number;
}

/** Predictions that say what the data is where a state is noise alone. */
const finiteAtNoise: readonly Prediction[] = ['x0', 'v'];

/**
 * The denoiser D(x, sigma) = c_skip x + c_out F(c_in x) of Karras et al. 2022, table 1, for the state alpha x_0 + sigma eps.
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
 * How a network's output becomes predictions of x_0 and of the noise, for the state alpha x_0 + sigma eps.
 * `score` is the gradient of the log density, -eps / sigma; `v` is alpha eps - sigma x_0 (Salimans & Ho 2022); `edm` the
 * preconditioned denoiser of Karras et al. 2022 for data of standard deviation `sigmaData`, and `edm-v` the same of the negative
 * output (diffusers' EDM schedulers with `v_prediction`).
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for an unknown name, and for one that has no data prediction where alpha is 0.
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
  // v presumes alpha^2 + sigma^2 = 1; the norm keeps it right for other states.
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

/** The parametrisation of a sampler's option `prediction`, or the schedule's, at one noise level. */
export function parametrisationOf(
  { defaults }: NoiseSchedule,
  options: { prediction?: Prediction },
  alpha: number,
  sigma: number,
): Parametrisation {
  return parametrisation(options.prediction ?? defaults.prediction, alpha, sigma, defaults.sigmaData);
}

/**
 * What a gradient of ln p at the state adds to a network's output, per unit of it: the output of a network whose score is greater by that
 * gradient (Dhariwal & Nichol 2021, algorithm 2: eps - sigma g). The network knows its time alone, so that the amplitudes are those of
 * its schedule at that time, whatever the levels of the sampler that asks.
 *
 * @param prediction - What the output means. Default: what the schedule says.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for an unknown prediction.
 */
export function guidedOutputShift(schedule: NoiseSchedule, networkTime: number, prediction?: string): number {
  const { alpha, sigma } = amplitudesOfNetworkTime(schedule, networkTime);
  // Noise alone says nothing of what it was made from: there is nothing to guide by.
  if (alpha === 0) return 0;
  const known = predictionNames.find((name) => name === prediction);
  if (prediction !== undefined && known === undefined) throw unknownName('prediction', prediction, predictionNames);
  const { data } = parametrisationOf(schedule, known === undefined ? {} : { prediction: known }, alpha, sigma);
  return sigma ** 2 / (alpha * data.output);
}
