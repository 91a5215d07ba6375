import { DpmError } from '../base/errors.js';
import { ConfigReader } from '../files/config-reader.js';
import { unetGraph } from '../network/unet.js';
import type { ScheduleOptions } from '../schedule/schedule-options.js';
import { renameTensors } from './checkpoint.js';
import { families, familyByName } from './families/index.js';
import { ofNetwork } from './family-schedule.js';
import { bindTensors, headKeys, knownTensors, networkOf, unwrapNames } from './family.js';
import type { ImageSize } from './image-size.js';
import type { ModelFolder } from './model-folder.js';
import { openWeights } from './weight-files.js';

function evidenceOf(source: string, weights: string, mark: string | null, place: string): string {
  const says = mark === null ? `${source} says so` : `${source} says so, and ${weights} holds ${mark}`;
  return place === '' ? says : `${says}; weights from ${place}`;
}

/** The field `family`, which diffusers' own configurations lack. */
export function familyName(config: Readonly<Record<string, unknown>>, source: string): string {
  const { family } = config;
  if (typeof family === 'string') return family;
  const isDiffusers = ['_class_name', '_diffusers_version', 'block_out_channels', 'down_block_types'].some(
    (field) => field in config,
  );
  if (family === undefined && isDiffusers) return 'diffusers';
  const known = families.map((each) => each.name).join(', ');
  throw new DpmError('ERR_DPM_CONFIG', `${source}: family has to be one of ${known}`);
}

/**
 * Reads a model of one of the families beside diffusers: a checkpoint and its network.
 *
 * @param config - Configuration: the field `family`, then that family's own options.
 * @param source - Name of the source in errors, e.g. the configuration's path.
 * @param options - Options, among them `imageSize` if it is not the configuration's.
 * @throws {@link DpmError} naming the file and the wrong field.
 */
export async function readFamily(
  config: Record<string, unknown>,
  source: string,
  weights: string,
  { imageSize, ...options }: ScheduleOptions & { imageSize?: ImageSize | undefined },
): Promise<ModelFolder> {
  const name = familyName(config, source);
  const family = familyByName(name);
  const network = networkOf(family, config, source, imageSize);
  const opened = await openWeights(weights);
  const unwrapped = unwrapNames(opened.checkpoint);
  const checkpoint = family.canonicalName === undefined ? unwrapped : renameTensors(unwrapped, family.canonicalName);
  const mark = family.recognise(new Set(checkpoint.tensors.keys()));
  return {
    path: weights,
    family: name,
    evidence: [evidenceOf(source, weights, mark, opened.place), family.assumption]
      .filter((each) => each !== undefined)
      .join('; '),
    config,
    schedule: family.schedule(new ConfigReader(config, source), ofNetwork(network.unet, options)),
    labelForNone: family.labelForNone,
    layout: family.layout,
    heads: network.heads,
    gamma: null,
    weights: knownTensors(network, checkpoint),
    companions: new Map(),
    select(head) {
      if (head !== null && !network.heads.includes(head)) {
        const named = network.heads.join(', ') || 'no head';
        throw new DpmError('ERR_DPM_ARGUMENT', `${source} names ${named}, head '${head}' is not available`);
      }
      const unet = head === null ? network.unet : { ...network.unet, head: network.head };
      const graph = unetGraph(unet);
      const bound = bindTensors(network, graph, checkpoint);
      // Tensors of the head are known, whether it is used or not.
      const ownHead = headKeys(network);
      bound.report.unused = bound.report.unused.filter((key) => !ownHead.has(key));
      return Promise.resolve({ unet, graph, ...bound });
    },
  };
}
