// A card is given all steps of a run at once, unless somebody may end it.
import '../../support/emulated-cuda.js';

import { expect, it } from 'vitest';

import { native } from '../../../lib/engine/addon.js';
import type { NativeCancelToken } from '../../../lib/engine/binding.js';
import { DiffusionModel } from '../../../lib/model.js';
import { linear, stepRecord } from '../../../lib/program/builder.js';
import { packRecord } from '../../../lib/program/pack.js';
import { packagePath } from '../../support/temporary.js';

it('a run on a card ends between two steps', async () => {
  await using model = await DiffusionModel.load(packagePath('models/mnist'), { device: 'cuda', dtype: 'f32' });
  const record = packRecord(stepRecord({ time: 10, x: linear({ x: 0.5, out: 0.1 }) }), false);
  const run = (steps: number, cancel: NativeCancelToken | null): Promise<unknown> =>
    model.unet.native.run({
      records: Uint8Array.from({ length: steps * record.length }, (_, i) => record[i % record.length]!),
      programs: Uint32Array.of(0, steps, 0),
      initialScale: Float32Array.of(1),
      sampleProgram: Uint32Array.of(0),
      sampleStream: Uint32Array.of(1, 0, 0),
      labels: null,
      guidance: null,
      unconditionalLabel: -1,
      init: null,
      noise: null,
      batch: 1,
      snapshotEvery: 0,
      levels: false,
      cancel,
      onProgress: null,
      previewEvery: 0,
      onPreview: null,
    });
  await run(1, null);
  const began = performance.now();
  await run(3, null);
  const ofThree = performance.now() - began;
  const cancel = new (native().CancelToken)();
  const cancelled = run(1000, cancel);
  setTimeout(() => {
    cancel.cancel();
  }, ofThree);
  await expect(cancelled).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED' });
  expect(performance.now() - began).toBeLessThan(50 * ofThree);
});
