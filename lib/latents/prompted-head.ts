import { DpmError } from '../base/errors.js';
import { amplitudesOfNetworkTime } from '../schedule/network-level.js';
import type { NoiseSchedule } from '../schedule/noise-schedule.js';
import { parametrisation } from '../schedule/prediction.js';
import type { ConditionalUNet } from './conditional-unet.js';
import type { PromptedHead } from './prompted-network.js';

/**
 * Finds the variance head of a U-Net that a program reads. Programs expect the squared error of the noise; a head that was
 * trained beside a prediction v expects that of v, of which the noise has the share that v has in it.
 *
 * @param wanted - Name of the second output; null: there is none.
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a second output that the U-Net does not have, `ERR_DPM_UNSUPPORTED` for a head
 * of another kind beside v.
 */
export function promptedHead(
  unet: Pick<ConditionalUNet, 'heads' | 'headPrediction'>,
  schedule: NoiseSchedule,
  wanted: string | null,
): PromptedHead | null {
  if (wanted === null) return null;
  const name = unet.heads.find((each) => each === wanted);
  if (name === undefined) {
    const known = unet.heads.join(', ') || 'none';
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `the sampler reads the second output '${wanted}', which the U-Net does not have; its variance heads: ${known}`,
    );
  }
  const prediction = unet.headPrediction;
  if (prediction === 'epsilon') return { name, scale: () => 1 };
  if (name !== 'npr') {
    throw new DpmError('ERR_DPM_UNSUPPORTED', `the head '${name}' beside the prediction '${prediction}' is not known`);
  }
  return {
    name,
    scale(time) {
      const { alpha, sigma } = amplitudesOfNetworkTime(schedule, time);
      return parametrisation(prediction, alpha, sigma).noise.output ** 2;
    },
  };
}
