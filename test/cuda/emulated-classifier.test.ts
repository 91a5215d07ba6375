// Classifiers of both pools on the emulated CUDA device: against what another engine gives in float64, and against the reference device.
import '../support/emulated-cuda.js';

import { describe, expect, it } from 'vitest';

import type { ComputeType } from '../../lib/engine/device.js';
import { Classifier } from '../../lib/guidance/classifier.js';
import { DiffusionModel } from '../../lib/model.js';
import { maxDifference } from '../support/golden.js';
import { writeModel } from '../support/golden-network.js';
import { namedNumbers } from '../support/splitmix.js';
import { largest, readTensors } from '../support/tensors.js';
import { packagePath, temporaryFolder } from '../support/temporary.js';

const withAttention = packagePath('test/fixtures/unet/classifier-attention');

/** Largest difference, relative to the largest value. */
const error = (found: Float32Array, expected: Float32Array): number =>
  maxDifference(found, expected) / largest(expected);

interface Arithmetic {
  dtype: ComputeType;
  ofLogits: number;
  ofGradients: number;
  times: readonly number[];
}

// The emulation takes long for 16 bits.
const types: Arithmetic[] = [
  { dtype: 'f32', ofLogits: 1e-5, ofGradients: 1e-5, times: [17, 803] },
  { dtype: 'f16', ofLogits: 5e-3, ofGradients: 1e-2, times: [803] },
  { dtype: 'bf16', ofLogits: 3e-2, ofGradients: 6e-2, times: [803] },
];

describe.each(types)('classifiers on the emulated CUDA device in $dtype', ({ dtype, ofLogits, ofGradients, times }) => {
  it.each(times)('pool by attention, at time %d', async (t) => {
    const golden = await readTensors(packagePath('test/fixtures/gradients/guidance/adm-class.safetensors'));
    await using classifier = await Classifier.load(withAttention, { device: 'cuda', dtype });
    const logits = await classifier.logits(golden.x!, t);
    expect(error(logits, golden[`logits.${t}`]!)).toBeLessThan(ofLogits);
    const gradient = await classifier.gradient(golden.x!, t, golden.labels!);
    expect(error(gradient, golden[`gradient.${t}`]!)).toBeLessThan(ofGradients);
  });

  it('pool by the mean', async () => {
    const folder = temporaryFolder();
    await writeModel(folder, {
      family: 'openai-classifier',
      image_size: 8,
      in_channels: 3,
      model_channels: 32,
      out_channels: 4,
      num_res_blocks: 1,
      attention_resolutions: [2],
      channel_mult: [1, 2],
      pool: 'adaptive',
    });
    const x = Float32Array.from(namedNumbers('small', 2 * 3 * 64));
    await using reference = await Classifier.load(folder, { device: 'reference' });
    await using classifier = await Classifier.load(folder, { device: 'cuda', dtype });
    const labels = [0, 3];
    const [logits, gradient] = [await reference.logits(x, 11), await reference.gradient(x, 11, labels)];
    expect(error(await classifier.logits(x, 11), logits)).toBeLessThan(ofLogits);
    expect(error(await classifier.gradient(x, 11, labels), gradient)).toBeLessThan(ofGradients);
  });
});

describe('guided samples on the emulated CUDA device', () => {
  it('are those of the cpu device', async () => {
    const labels = [3, 1];
    const sampled = async (device: string): Promise<Float32Array> => {
      await using model = await DiffusionModel.load(packagePath('test/fixtures/unet/openai-adm-class'), {
        device,
        dtype: 'f32',
      });
      await using classifier = await Classifier.load(withAttention, { device: model.device });
      const { images } = await model.sample({
        sampler: 'ddim',
        timesteps: [500, 200],
        count: 2,
        seed: 1,
        classLabels: [0, 1],
        guidance: [1, 2],
        guides: [classifier.guide({ labels, scale: 2 }), classifier.guide({ labels: 0 })],
      });
      return images.data;
    };
    expect(error(await sampled('cuda'), await sampled('cpu'))).toBeLessThan(1e-3);
  });
});
