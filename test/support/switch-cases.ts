// Small networks that differ in a switch of their configuration (test/fixtures/unet/make-switches.py and make-library-switches.py).
import { readFileSync } from 'node:fs';

import type { FamilyNetwork } from '../../lib/checkpoint/family.js';
import { networkOf, type GoldenNetwork, type GoldenOutput } from './golden-network.js';

export interface SwitchCase extends GoldenNetwork {
  id: string;
  /** Parts of current names, and what stands in their place in the checkpoint. */
  renamed?: [current: string, old: string][];
  /** Projections of attention are 1x1 convolutions. */
  squared?: boolean;
  /** Parameters of outputs that are not computed beside a head. */
  unused?: number;
  expected: GoldenOutput & { params: number };
}

function read(name: string): SwitchCase[] {
  return JSON.parse(readFileSync(new URL(`../fixtures/unet/${name}`, import.meta.url), 'utf8')) as SwitchCase[];
}

export const switchCases: readonly SwitchCase[] = [...read('switches.json'), ...read('library-switches.json')];

/** The network of a case, with the names of its checkpoint. */
export function caseNetwork({ config, imageSize, renamed = [], squared = false }: SwitchCase): FamilyNetwork {
  const network = networkOf(config, imageSize);
  return {
    ...network,
    source(name, shape) {
      const source = network.source(name, shape);
      const key = renamed.reduce((before, [current, old]) => before.replace(current, old), source.key);
      const isProjection = /\.attentions\..*\.to_.*weight$/.test(name);
      return squared && isProjection ? { ...source, key, shape: [...shape, 1, 1] } : { ...source, key };
    },
  };
}
