// Every switch of every family's configuration: small networks, whose outputs the executable specification says
// (test/fixtures/unet/make-switches.py).
import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { elementCount } from '../../lib/arrays.js';
import type { FamilyNetwork } from '../../lib/checkpoint/family.js';
import { parameterCount } from '../../lib/checkpoint/network.js';
import {
  expectOutputs,
  goldenOutputs,
  networkOf,
  storedTensors,
  type GoldenNetwork,
  type GoldenOutput,
} from '../support/golden-network.js';

interface Case extends GoldenNetwork {
  id: string;
  /** Parts of current names, and what stands in their place in the checkpoint. */
  renamed?: [current: string, old: string][];
  /** Projections of attention are 1x1 convolutions. */
  squared?: boolean;
  /** Parameters of outputs that are not computed beside a head. */
  unused?: number;
  expected: GoldenOutput & { params: number };
}

const cases = JSON.parse(
  readFileSync(new URL('../fixtures/unet/switches.json', import.meta.url), 'utf8'),
) as unknown as Case[];

/** The network of a case, with the names of its checkpoint. */
function caseNetwork({ config, renamed = [], squared = false }: Case): FamilyNetwork {
  const network = networkOf(config);
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

describe('networks that differ in a switch', () => {
  it.each(cases)('on cpu: $id', async (each) => {
    expectOutputs(await goldenOutputs('cpu', each, caseNetwork(each)), each.expected);
  });

  it.each(cases.filter((_, i) => i % 3 === 0))('on reference: $id', async (each) => {
    expectOutputs(await goldenOutputs('reference', each, caseNetwork(each)), each.expected);
  });

  it.each(cases)('has the parameters of the original: $id', (each) => {
    const { params } = each.expected;
    const network = caseNetwork(each);
    const stored = [...storedTensors(network).values()];
    expect(stored.reduce((sum, shape) => sum + elementCount(shape), 0)).toBe(params);
    expect(parameterCount({ ...network.unet, head: network.head })).toBe(params - (each.unused ?? 0));
  });
});
