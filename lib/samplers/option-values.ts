import { DpmError } from '../base/errors.js';
import { checkTrajectoryName } from '../schedule/trajectory.js';
import type { SamplerOptions } from './options.js';

function argument(message: string): DpmError {
  return new DpmError('ERR_DPM_ARGUMENT', message);
}

const switches = ['avgCov', 'denoiseToZero'] as const;

/**
 * Refuses values that would be taken for others, and options that another one makes meaningless.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option.
 */
export function checkOptionValues(options: SamplerOptions): void {
  const { trajectory, timesteps, costs, tStart, tEnd, lastNoiseClip, lowerOrderFinal } = options;
  for (const name of switches) {
    if (options[name] !== undefined && typeof options[name] !== 'boolean')
      throw argument(`${name} has to be true or false`);
  }
  if (![undefined, true, false, 'always'].includes(lowerOrderFinal)) {
    throw argument("lowerOrderFinal has to be true, false or 'always'");
  }
  if (typeof lastNoiseClip === 'number' && !(lastNoiseClip >= 0)) {
    throw argument(`lastNoiseClip is ${lastNoiseClip}, it has to be a number of grey levels not below 0, or null`);
  }
  if (trajectory !== undefined) checkTrajectoryName(trajectory);
  if (costs !== undefined && trajectory !== 'optimal') throw argument("costs are for trajectory 'optimal'");
  if (timesteps !== undefined && (tStart !== undefined || tEnd !== undefined)) {
    throw argument('timesteps say where sampling starts and ends: leave tStart and tEnd out');
  }
}
