import { unknownName } from '../checks.js';
import { DpmError } from '../errors.js';
import type { Prediction } from '../schedule/noise-schedule.js';

/** A prediction as a linear function of the state the network saw and of its output. */
export interface Combination {
  input: number;
  output: number;
}

/** The data and the noise prediction of a network with this parametrisation. */
export interface Parametrisation {
  data: Combination;
  noise: Combination;
}

/**
 * How a network's output becomes predictions of x_0 and of the noise, for the state alpha x_0 + sigma eps.
 * `score` is the gradient of the log density, -eps / sigma; `v` is alpha eps - sigma x_0 (Salimans & Ho 2022).
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for a parametrisation that needs preconditioning.
 */
export function parametrisation(prediction: Prediction, alpha: number, sigma: number): Parametrisation {
  switch (prediction) {
    case 'epsilon':
      return { data: { input: 1 / alpha, output: -sigma / alpha }, noise: { input: 0, output: 1 } };
    case 'x0':
      return { data: { input: 0, output: 1 }, noise: { input: 1 / sigma, output: -alpha / sigma } };
    case 'v':
      return { data: { input: alpha, output: -sigma }, noise: { input: sigma, output: alpha } };
    case 'score':
      return { data: { input: 1 / alpha, output: (sigma * sigma) / alpha }, noise: { input: 0, output: -sigma } };
    case 'edm':
      throw new DpmError('ERR_DPM_UNSUPPORTED', "prediction 'edm' is not supported by this sampler");
    default:
      throw unknownName('prediction', prediction, ['epsilon', 'x0', 'v', 'score']);
  }
}
