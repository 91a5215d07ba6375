// A program that is traced or bundled by scripts/check-package.
import assert from 'node:assert/strict';

import { DiffusionModel } from 'dpm-native';

const model = await DiffusionModel.load('mnist', { device: 'cpu' });
const { images } = await model.sample({ sampler: 'ddim', steps: 2, seed: 1 });
await model.close();
assert.deepEqual(images.shape, [1, 1, 28, 28]);
