import { DpmError } from '../errors.js';
import type { ScheduleOptions } from '../schedule/noise-schedule.js';
import { renameTensors } from './checkpoint.js';
import { canonicalDiffusersName } from './diffusers.js';
import { familyByName } from './families/index.js';
import { bindTensors, headKeys, knownTensors, unwrapNames } from './family.js';
import { familySchedule } from './family-schedule.js';
import { headNames } from './heads.js';
import type { ModelFolder } from './model-folder.js';
import { openWeights } from './open-weights.js';

function evidenceOf(source: string, weights: string, mark: string | null, place: string): string {
  const says = mark === null ? `${source} says so` : `${source} says so, and ${weights} holds ${mark}`;
  return place === '' ? says : `${says}; weights from ${place}`;
}

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
  // The configurations of diffusers do not name themselves.
  const { family: name = 'diffusers' } = config;
  if (typeof name !== 'string') throw new DpmError('ERR_DPM_CONFIG', `${source}: family has to be a string`);
  const family = familyByName(name);
  const network = family.network(config, source);
  const opened = await openWeights(weights);
  const unwrapped = unwrapNames(opened.checkpoint);
  const checkpoint = name === 'diffusers' ? renameTensors(unwrapped, canonicalDiffusersName) : unwrapped;
  const mark = family.recognise(new Set(checkpoint.tensors.keys()));
  return {
    path: weights,
    family: name,
    evidence: evidenceOf(source, weights, mark, opened.place),
    config,
    schedule: familySchedule(config, source, options),
    heads: network.head === null ? [] : headNames,
    gamma: null,
    weights: knownTensors(network, checkpoint),
    companions: [],
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
