// What estimates leave on a model's device.
import { expect, it } from 'vitest';

import {
  DiffusionModel,
  estimateErrors,
  estimateGamma,
  estimateLikelihood,
  flowLikelihood,
} from '../../../lib/index.js';

const images = new Float32Array(2 * 784).fill(-1);

it.each<[string, (model: DiffusionModel, signal?: AbortSignal, onProgress?: () => void) => Promise<unknown>]>([
  [
    'estimateGamma',
    (model, signal, onProgress) => estimateGamma(model, images, { samples: 2, timesteps: [1, 2], signal, onProgress }),
  ],
  [
    'estimateErrors',
    (model, signal, onProgress) => estimateErrors(model, images, { samples: 2, timesteps: [1, 2], signal, onProgress }),
  ],
  [
    'estimateLikelihood',
    (model, signal, onProgress) =>
      estimateLikelihood(model, images, { sampler: 'npr-ddpm', steps: 2, signal, onProgress }),
  ],
  [
    'flowLikelihood',
    (model, signal, onProgress) =>
      flowLikelihood(model, images, { atol: 0.1, rtol: 0.1, tEnd: 0.5, signal, onProgress }),
  ],
])('%s leaves nothing, whether it ends or is aborted', async (_, estimate) => {
  await using model = await DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
  // Networks and the memory of a batch stay.
  await estimate(model);
  const before = model.device.memory().host;
  const given = model.device.tensor([1000]);
  expect(model.device.memory().host).toBeGreaterThan(before);
  given.free();
  await estimate(model);
  expect(model.device.memory().host).toBe(before);
  const abort = new AbortController();
  const aborted = estimate(model, abort.signal, () => {
    abort.abort();
  });
  await expect(aborted).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
  expect(model.device.memory().host).toBe(before);
});
