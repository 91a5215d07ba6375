// Every switch of every family's configuration: small networks, whose outputs the executable specification says
// (test/fixtures/unet/make-switches.py).
import { describe, expect, it } from 'vitest';

import { elementCount } from '../../../lib/base/arrays.js';
import { parameterCount } from '../../../lib/network/cost.js';
import { unetGraph } from '../../../lib/network/unet.js';
import { expectOutputs, goldenOutputs, storedTensors } from '../../support/golden-network.js';
import { caseNetwork, switchCases as cases } from '../../support/switch-cases.js';

describe('networks that differ in a switch', () => {
  it('on cpu: diffusers class_embed_type identity', async () => {
    const rows = cases.find(({ id }) => id === 'diffusers num_class_embeds')!;
    const { num_class_embeds: _, ...config } = rows.config;
    const identity = { ...rows, config: { ...config, class_embed_type: 'identity' } };
    expectOutputs(await goldenOutputs('cpu', identity, caseNetwork(rows)), rows.expected);
  });

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
    expect(parameterCount(unetGraph({ ...network.unet, head: network.head }))).toBe(params - (each.unused ?? 0));
  });

  it.each(['mish', 'silu', 'mish, scale_shift'])('has the extra block of a head of its own kind: %s', (name) => {
    const { unet } = caseNetwork(cases.find(({ id }) => id === `diffusers act_fn ${name}`)!);
    const head = { prefix: 'head', complex: true, outChannels: unet.inChannels, groups: 4, epsilon: 1e-5 };
    const { nodes } = unetGraph({ ...unet, head });
    const kinds = nodes
      .filter((node) => node.name.startsWith('head.resnet.act'))
      .map((node) => (node.op === 'activation' ? node.kind : node.op));
    expect(kinds).toEqual(name === 'silu' ? ['silu', 'silu'] : ['mish', 'mish']);
    const scales = nodes.some((node) => node.name === 'head.resnet.scale_shift');
    expect(scales).toBe(name.endsWith('scale_shift'));
  });
});
