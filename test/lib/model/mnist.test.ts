// Predictions of the bundled network on fixed states along a trajectory, against those of diffusers in float64
// (test/fixtures/unet/make-mnist.py). Final images are not compared: tiny differences grow.
import '../../support/emulated-cuda.js';

import { describe, expect, it } from 'vitest';

import { readSafetensorsHeader } from '../../../lib/files/safetensors.js';
import { readFloats } from '../../../lib/files/tensor-data.js';
import { DiffusionModel } from '../../../lib/model.js';
import { maxDifference } from '../../support/golden.js';
import { packagePath } from '../../support/temporary.js';

describe.each(['cpu', 'reference', 'cuda:0'])('predictions along a trajectory on %s', (device) => {
  it('are those of the original implementation', async () => {
    const header = await readSafetensorsHeader(packagePath('test/fixtures/unet/mnist-trajectory.safetensors'));
    const read = async (name: string): Promise<Float32Array> => (await readFloats(header, name)).data;
    const [x, times, expected] = [await read('x'), await read('t'), await read('out')];
    await using model = await DiffusionModel.load(packagePath('models/mnist'), { device, dtype: 'f32', exact: true });
    const { out } = await model.unet.forward(x, times);
    expect(times).toHaveLength(8);
    const pixels = 28 * 28;
    times.forEach((_, i) => {
      const part = (values: Float32Array): Float32Array => values.subarray(i * pixels, (i + 1) * pixels);
      expect(maxDifference(part(out), part(expected))).toBeLessThan(
        2e-5 * Math.max(1, ...part(expected).map(Math.abs)),
      );
    });
  });
});
