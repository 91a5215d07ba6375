// Samples without end; the test terminates the worker in the middle.
import { parentPort, workerData } from 'node:worker_threads';

import { DiffusionModel } from '../../dist/index.js';

const model = await DiffusionModel.load(workerData.model, { device: 'cpu', threads: 2 });
for (;;) {
  const sampled = model.sample({
    count: 8,
    sampler: 'ddpm',
    steps: 200,
    onProgress: () => parentPort?.postMessage('progress'),
  });
  // Queued work is refused or dropped when the worker ends.
  const forward = model.unet.forward(new Float32Array(784), 10);
  await Promise.all([sampled, forward]);
}
