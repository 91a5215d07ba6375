import { ConfigReader, isJsonObject, widthRange } from '../files/config-reader.js';
import type { FamilyNetwork } from './family.js';
import { headNames, headPrefix, type HeadName } from './heads.js';

/** A variance head that a checkpoint holds beside the network. */
export interface EmbeddedHead {
  /** Purpose that it was trained for, which its weights do not tell; null: not given. */
  kind: HeadName | null;
  complex: boolean;
  outChannels: number;
}

/**
 * The field `head` of a configuration: `{ kind: 'npr' | 'sn' | 'ocm', mode: 'simple' | 'complex', out_ch }`, or absent.
 *
 * @param channels - Channels of the image, which its variance has too.
 * @throws {@link DpmError} `ERR_DPM_CONFIG` or `ERR_DPM_UNSUPPORTED` naming the field.
 */
export function readEmbeddedHead(config: ConfigReader, channels: number): EmbeddedHead | null {
  const raw = config.raw('head') ?? null;
  if (raw === null) return null;
  if (!isJsonObject(raw)) throw config.error('head', 'an object with kind, mode and out_ch');
  const head = new ConfigReader(raw, `${config.source}: head`);
  head.onlyFields(['kind', 'mode', 'out_ch']);
  const outChannels = head.integer('out_ch', channels, widthRange);
  if (outChannels !== channels) throw head.error('out_ch', `the ${channels} channels of the image`);
  return {
    kind: head.has('kind') ? head.choice('kind', 'npr', headNames) : null,
    complex: head.choice('mode', 'simple', ['simple', 'complex']) === 'complex',
    outChannels,
  };
}

/** The head of a network whose output norms have these groups. */
export function familyHead(
  head: EmbeddedHead | null,
  groups: number,
  epsilon: number,
): Pick<FamilyNetwork, 'head' | 'heads'> {
  if (head === null) return { head, heads: [] };
  const { kind, complex, outChannels } = head;
  return {
    head: { prefix: headPrefix, complex, outChannels, groups, epsilon },
    heads: kind === null ? headNames : [kind],
  };
}
