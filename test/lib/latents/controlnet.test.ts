// ControlNets against the public library's, in double (test/fixtures/latent/controlnet), and what they refuse.
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { ConditionalUNet, type ConditionalForwardOptions } from '../../../lib/index.js';
import { difference, hostDevices, latentFixtures } from '../../support/latent-goldens.js';
import { readTensors } from '../../support/tensors.js';

const folder = join(latentFixtures, 'controlnet');
const place = (name: string): string => join(folder, name);
const unetPath = join(latentFixtures, 'sd1/unet');
const size = { height: 8, width: 4 };
const pixels = { height: 32, width: 16 };

/** Reads an evaluation of the library. */
async function golden(name: string) {
  const tensors = await readTensors(join(folder, `${name}.safetensors`));
  const { x, t, encoder_hidden_states: context, controlnet_cond: pictures } = tensors;
  return { x: x!, t: t!, pictures: pictures!, options: { ...size, context: context! }, tensors };
}

describe.each(hostDevices)('a ControlNet on $device', ({ limit, ...options }) => {
  it.each(['controlnet-a', 'controlnet-b'])('%s changes a prediction as in the library', async (name) => {
    const { x, t, pictures, options: given, tensors } = await golden(name);
    await using unet = await ConditionalUNet.load(unetPath, { ...options, controlNets: [place(name)] });
    const picture = await unet.prepareControl(0, pictures, pixels);
    const predicted = (scale?: number): Promise<Float32Array> =>
      unet.forward(x, t, { ...given, controls: [{ picture, scale }] });
    expect(difference(await predicted(), tensors.out!)).toBeLessThan(limit);
    expect(difference(await predicted(0.6), tensors['out.0.6']!)).toBeLessThan(limit);
    await using alone = await ConditionalUNet.load(unetPath, options);
    expect(await predicted(0)).toEqual(await alone.forward(x, t, given));
  });
});
