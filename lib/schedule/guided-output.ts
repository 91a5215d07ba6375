import { unknownName } from '../base/checks.js';
import { predictionNames } from './defaults.js';
import { amplitudesOfNetworkTime } from './network-level.js';
import type { NoiseSchedule } from './noise-schedule.js';
import { parametrisationOf } from './prediction.js';

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
