import { DpmError } from '../errors.js';
import { NoiseSchedule, type ScheduleOptions } from '../schedule/noise-schedule.js';
import { openSingleFile } from './checkpoint.js';
import { familyByName } from './families/index.js';
import { bindTensors, headKeys, unwrapNames } from './family.js';
import { familySchedule } from './family-schedule.js';
import { headNames } from './heads.js';
import type { ModelFolder } from './model-folder.js';

/**
 * A model of one of the families beside diffusers: a checkpoint and what its network is.
 *
 * @param config - Field `family`, then that family's own options.
 * @param source - Named in errors, e.g. the configuration's path.
 * @throws {@link DpmError} naming the file and the field that is wrong.
 */
export async function readFamily(
  config: Record<string, unknown>,
  source: string,
  weights: string,
  options: ScheduleOptions,
): Promise<ModelFolder> {
  const name = config['family'];
  if (typeof name !== 'string') throw new DpmError('ERR_DPM_CONFIG', `${source}: family has to be a string`);
  const family = familyByName(name);
  const network = family.network(config, source);
  const checkpoint = unwrapNames(await openSingleFile(weights));
  const mark = family.recognise(new Set(checkpoint.tensors.keys()));
  return {
    path: weights,
    family: name,
    evidence: mark === null ? `${source} says so` : `${source} says so, and ${weights} holds ${mark}`,
    config,
    schedule: familySchedule(config, source, options),
    heads: network.head === null ? [] : headNames,
    gamma: null,
    select(head) {
      if (head !== null && network.head === null) {
        throw new DpmError('ERR_DPM_ARGUMENT', `${source} names no head, head '${head}' is not available`);
      }
      const unet = head === null ? network.unet : { ...network.unet, head: network.head };
      const bound = bindTensors(network, unet, checkpoint);
      // What belongs to the head is known, whether it is asked for or not.
      const ownHead = headKeys(network);
      bound.report.unused = bound.report.unused.filter((key) => !ownHead.has(key));
      return Promise.resolve({ unet, ...bound });
    },
  };
}
