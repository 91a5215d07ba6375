// Derivatives are read from the weights' files when they are first asked for: those of other weights are refused.
import { cp, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { Classifier } from '../../../lib/guidance/classifier.js';
import { DiffusionModel } from '../../../lib/model.js';
import { failure } from '../../support/failure.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';

const scratch = temporaryFolder();

/** Flips a bit of the last element of a tensor in a file. */
async function flip(path: string, tensor: string): Promise<void> {
  const { offset, bytes: length } = (await readSafetensorsHeader(path)).tensors.get(tensor)!;
  const bytes = await readFile(path);
  bytes[offset + length - 1]! ^= 1;
  await writeFile(path, bytes);
}

describe('weights that change after they were loaded', () => {
  it.each(['pullback', 'pushforward'] as const)('give no %s, until they are back', async (derivative) => {
    const folder = join(scratch, derivative);
    await cp(packagePath('test/fixtures/unet/diffusers-ddpm'), folder, { recursive: true });
    const file = join(folder, 'unet', 'diffusion_pytorch_model.safetensors');
    const [x, direction] = [new Float32Array(768).fill(0.5), new Float32Array(768).map((_, i) => Math.sin(i))];
    const derive = ({ unet }: DiffusionModel): Promise<unknown> =>
      derivative === 'pullback'
        ? unet.pullback(x, 5, { cotangent: direction })
        : unet.pushforward(x, 5, { tangent: direction });
    await using untouched = await DiffusionModel.load(folder, { device: 'cpu' });
    const expected = await derive(untouched);
    await using model = await DiffusionModel.load(folder, { device: 'cpu' });
    for (const tensor of ['conv_in.weight', 'conv_out.bias', 'time_embedding.linear_2.weight']) {
      await flip(file, tensor);
      const error = await failure(derive(model));
      expect(error.code).toBe('ERR_DPM_FILE');
      expect(error.message).toContain(`${file} has changed since its network was loaded: tensor ${tensor}`);
      await flip(file, tensor);
    }
    expect(await derive(model)).toEqual(expected);
    // Loaded weights are not read again.
    await rename(file, `${file}.away`);
    expect(await derive(model)).toEqual(expected);
  });

  it.each(['gradient', 'features'] as const)('give no %s of a classifier', async (what) => {
    const folder = join(scratch, what);
    await cp(packagePath('test/fixtures/unet/classifier-attention'), folder, { recursive: true });
    await using classifier = await Classifier.load(folder, { device: 'cpu' });
    await flip(join(folder, 'model.safetensors'), 'time_embed.2.weight');
    const x = new Float32Array(3 * 16 * 16);
    const error = await failure(what === 'gradient' ? classifier.gradient(x, 5, [1]) : classifier.features());
    expect(error.code).toBe('ERR_DPM_FILE');
    expect(error.message).toContain('model.safetensors has changed since its network was loaded: tensor time_embed');
  });

  it('give no second output', async () => {
    const folder = join(scratch, 'head');
    await cp(packagePath('models/mnist'), folder, { recursive: true });
    await using model = await DiffusionModel.load(folder, { device: 'cpu' });
    const sample = (): Promise<unknown> => model.sample({ count: 1, sampler: 'npr-ddpm', steps: 2, seed: 1 });
    await flip(join(folder, 'unet', 'diffusion_pytorch_model.safetensors'), 'conv_in.weight');
    expect(await failure(sample())).toMatchObject({ code: 'ERR_DPM_FILE' });
    await flip(join(folder, 'unet', 'diffusion_pytorch_model.safetensors'), 'conv_in.weight');
    await sample();
  });
});
