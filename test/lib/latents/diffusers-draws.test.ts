// Whole pictures of the bundled pipeline, against diffusers.
import { expect, it } from 'vitest';

import { TextToImage } from '../../../lib/index.js';
import { absentPeer, askPeer } from '../../support/peers.js';
import { normals } from '../../support/philox.js';
import { packagePath } from '../../support/temporary.js';

const prompts = ['grinning cat with smiling eyes', 'red heart, flat style, on blue', 'a rocket left of a green apple'];
const [channels, side] = [3, 64];

/** Of [N,3,H,W] in [-1, 1] to [N,H,W,3] in [0, 1], cut off as a picture is. */
function levels(images: Float32Array): number[] {
  return Array.from({ length: images.length }, (_, i) => {
    const channel = i % channels;
    const pixel = Math.floor(i / channels) % side ** 2;
    const image = Math.floor(i / (channels * side ** 2));
    const value = images[(image * channels + channel) * side ** 2 + pixel]!;
    return Math.min(1, Math.max(0, value / 2 + 0.5));
  });
}

it.for([
  { steps: 20, guidance: 3 },
  { steps: 8, guidance: 1 },
  { steps: 50, guidance: 7.5 },
])(
  'diffusers draws the same pictures, $steps steps, guidance $guidance',
  { timeout: 120_000 },
  async (run, { skip }) => {
    const shape = [prompts.length, 4, 16, 16];
    const stream = { seed: [7, 0], record: 0, sampleIndex: 0, draw: 0 } as const;
    const init = Float32Array.from(normals(stream, prompts.length * 1024));
    await using model = await TextToImage.load('emoji', { device: 'cpu' });
    const { images } = await model.generate({ prompt: prompts, init, ...run });
    const own = levels(images!.data);
    expect(new Set(own).size).toBeGreaterThan(1000);
    const absent = absentPeer('transformers');
    if (absent !== null) skip(absent);
    const request = { folder: packagePath('models/emoji'), prompts, latents: [...init], shape, ...run };
    const theirs = askPeer('latent/draw-diffusers.py', request) as number[];
    expect(theirs).toHaveLength(own.length);
    expect(Math.max(...theirs.map((value, i) => Math.abs(value - own[i]!)))).toBeLessThan(1e-4);
  },
);
