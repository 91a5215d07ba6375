// Images whose drawing pictures control: ControlNets of a pipeline, against runs of the public library (test/fixtures/latent/controlnet).
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readJson } from '../../lib/files/files.js';
import { expectRun } from '../support/golden-runs.js';
import { latentFixtures } from '../support/latent-goldens.js';

const folder = join(latentFixtures, 'controlnet');
const place = (name: string): string => join(folder, name);

interface ControlledRun {
  controlnets: string[];
  options: { controlnet_conditioning_scale: number | number[] };
}

describe.each(['cpu', 'reference'])('ControlNets of a pipeline on %s', (device) => {
  it.each(['one', 'two'])('draw what the library draws with %s', async (name) => {
    const golden = { model: 'sd1', folder: join(folder, 'golden'), name };
    const { controlnets, options } = (await readJson(join(folder, 'golden', `${name}.json`))) as ControlledRun;
    const scales = [options.controlnet_conditioning_scale].flat();
    const given = { device, controlNets: controlnets.map(place) };
    await expectRun(golden, given, (_, expected) => ({
      init: expected.latents!,
      controls: scales.map((scale, k) => ({ image: expected[`control_image.${k}`]!, scale })),
    }));
  });
});
