// Derivatives of networks on the emulated CUDA device, through the library, against those that another engine's automatic
// differentiation gives in float64.
import '../support/emulated-cuda.js';

import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { DiffusionModel } from '../../lib/model.js';
import { maxDifference } from '../support/golden.js';
import { largest, readTensors } from '../support/tensors.js';
import { packagePath } from '../support/temporary.js';

// The emulation takes long for 16 bits.
const cases = [
  { name: 'diffusers-ddpm', dtype: 'f32', tolerance: 5e-5 },
  { name: 'diffusers-adm', dtype: 'f32', tolerance: 5e-5 },
  { name: 'score-sde-ncsnpp-fir', dtype: 'f32', tolerance: 5e-5 },
  { name: 'diffusers-ddpm', dtype: 'bf16', tolerance: 6e-2 },
] as const;

describe('derivatives on the emulated CUDA device', () => {
  it.each(cases)('are those of $name in $dtype', async ({ name, dtype, tolerance }) => {
    const folder = packagePath(`test/fixtures/unet/${name}`);
    const { x, t, class_labels: classLabels } = await readTensors(join(folder, 'input.safetensors'));
    const golden = await readTensors(packagePath(`test/fixtures/gradients/vjp/${name}.safetensors`));
    await using model = await DiffusionModel.load(folder, { device: 'cuda', dtype, head: null });
    const { gradient } = await model.unet.pullback(x!, t!, { classLabels, cotangent: golden.cotangent! });
    expect(maxDifference(gradient, golden.vjp!)).toBeLessThan(tolerance * largest(golden.vjp!));
    const { tangent } = await model.unet.pushforward(x!, t!, { classLabels, tangent: golden.tangent! });
    expect(maxDifference(tangent, golden.jvp!)).toBeLessThan(tolerance * largest(golden.jvp!));
  });

  it('are refused of weights, which the device does not compute yet', async () => {
    await using model = await DiffusionModel.load('mnist', { device: 'cuda' });
    const x = new Float32Array(784);
    const call = model.unet.gradients(x, 5, { cotangent: x });
    await expect(call).rejects.toMatchObject({ code: 'ERR_DPM_UNSUPPORTED' });
    await expect(call).rejects.toThrow('the cuda:0 device does not compute');
  });
});
