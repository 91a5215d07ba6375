import { describe, expect, it } from 'vitest';

import { ImageBatch } from '../../../lib/images/image-batch.js';
import { valueOfLevel } from '../../../lib/base/pixel-range.js';

const shape = [1, 1, 1, 4] as const;

describe('batches of images', () => {
  it('round to grey levels and go beyond neither end', () => {
    const centred = new ImageBatch(Float32Array.of(-1, 0.001, 1, 1.5), shape);
    expect([...centred.toUint8()]).toEqual([0, 128, 255, 255]);
    const unit = new ImageBatch(Float32Array.of(-0.5, 0, 0.5, 1), shape, [0, 1]);
    expect([...unit.toUint8()]).toEqual([0, 0, 128, 255]);
  });

  it.each([[[-1, 1]], [[0, 1]]] as const)('of levels have values from %j', (range) => {
    const levels = Uint8Array.of(0, 51, 204, 255);
    const batch = new ImageBatch(levels, shape, range);
    const width = range[1] - range[0];
    expect([...batch.data]).toEqual([0, 0.2, 0.8, 1].map((part) => Math.fround(range[0] + part * width)));
    expect(new ImageBatch(batch.data, shape, range).toUint8()).toEqual(levels);
    expect(valueOfLevel(255, range)).toBe(range[1]);
  });
});
