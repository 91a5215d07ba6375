// Grey levels as values: each alone, and many at once.
import { expect, it, onTestFinished, vi } from 'vitest';

import { centredRange, unitRange, valueOfLevel, valuesOfLevels } from '../../../lib/base/pixel-range.js';
import { ImageBatch } from '../../../lib/index.js';

const levels = Uint8Array.from({ length: 300 }, (_, i) => i % 256);

it.each([[centredRange], [unitRange], [[-3, 5] as const]])('levels in %j are each its value', (range) => {
  expect(valuesOfLevels(levels, range)).toEqual(
    Float32Array.from([...levels].map((each) => valueOfLevel(each, range))),
  );
});

it('images have their values without a list of all levels, which V8 ends the process for where it is long', () => {
  const from = vi.spyOn(Float32Array, 'from');
  onTestFinished(() => {
    from.mockRestore();
  });
  expect(new ImageBatch(levels, [3, 1, 10, 10]).data).toEqual(valuesOfLevels(levels, centredRange));
  for (const [list] of from.mock.calls) expect(list).toHaveLength(256);
});
