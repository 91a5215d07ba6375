import { isJsonObject, ConfigReader } from './config-reader.js';

export const widthRange = { least: 1, most: 65_536 };

/** A variance head that a checkpoint holds beside the network. */
export interface EmbeddedHead {
  complex: boolean;
  outChannels: number;
}

/** The field `head` of a configuration: `{ mode: 'simple' | 'complex', out_ch }`, or absent. */
export function readEmbeddedHead(config: ConfigReader): EmbeddedHead | null {
  const raw = config.raw('head') ?? null;
  if (raw === null) return null;
  if (!isJsonObject(raw)) throw config.error('head', 'an object with mode and out_ch');
  const head = new ConfigReader(raw, `${config.source}: head`);
  return {
    complex: head.choice('mode', 'simple', ['simple', 'complex']) === 'complex',
    outChannels: head.integer('out_ch', 3, widthRange),
  };
}
