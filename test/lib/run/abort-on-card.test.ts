// A card is given all steps of a run at once, unless somebody may end it.
import '../../support/emulated-cuda.js';

import { expect, it } from 'vitest';

import { native } from '../../../lib/engine/addon.js';
import type { NativeCancelToken } from '../../../lib/engine/binding.js';
import { DiffusionModel } from '../../../lib/model.js';
import { runRequest } from '../../support/native-engine.js';
import { packagePath } from '../../support/temporary.js';

it('a run on a card ends between two steps', async () => {
  await using model = await DiffusionModel.load(packagePath('models/mnist'), { device: 'cuda', dtype: 'f32' });
  const run = (steps: number, cancel: NativeCancelToken | null): Promise<unknown> =>
    model.unet.native.run({ ...runRequest(steps), cancel });
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
