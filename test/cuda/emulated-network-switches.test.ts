// Networks of every family on the emulated CUDA device: those that embed times and labels in their own ways, and some that differ in
// another switch.
import '../support/emulated-cuda.js';

import { describe,expect,it } from 'vitest';

import { expectOutputs,goldenOutputs } from '../support/golden-network.js';
import { caseNetwork,switchCases } from '../support/switch-cases.js';

const embedded = /class|label|learned|fourier|act_fn|heads that leave|image/;
const chosen = switchCases.filter(({ id }, i) => embedded.test(id) || i % 5 === 0);

describe('networks that differ in a switch', () => {
  it('embed times and labels in every way', () => {
    const ids = chosen.map(({ id }) => id);
    expect(ids).toEqual(expect.arrayContaining(['diffusers class_embed_type timestep, learned', 'diffusers fourier']));
  });

  it.each(chosen)('on cuda: $id', async (each) => {
    expectOutputs(await goldenOutputs('cuda', each, caseNetwork(each)), each.expected);
  });
});
