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

  it.each(cases)('are those of the weights of $name in $dtype', async ({ name, dtype, tolerance }) => {
    const folder = packagePath(`test/fixtures/unet/${name}`);
    const { x, t, class_labels: classLabels } = await readTensors(join(folder, 'input.safetensors'));
    const golden = await readTensors(packagePath(`test/fixtures/gradients/vjp/${name}.safetensors`));
    await using model = await DiffusionModel.load(folder, { device: 'cuda', dtype, head: null });
    const { tensors } = await model.unet.gradients(x!, t!, { classLabels, cotangent: golden.cotangent! });
    const kept = Object.keys(golden).filter((tensor) => tensor.startsWith('grad.'));
    expect(kept.length).toBeGreaterThan(5);
    const scale = Math.max(...kept.map((tensor) => largest(golden[tensor]!)));
    for (const tensor of kept) {
      const found = tensors.get(tensor.slice('grad.'.length)) ?? [];
      // Gradients that vanish are rounding noise.
      const allowed = 2 * tolerance * Math.max(largest(golden[tensor]!), 1e-2 * scale);
      expect(maxDifference(found, golden[tensor]!), tensor).toBeLessThan(allowed);
    }
  });
});
