import { describe, expect, it } from 'vitest';

import { ImageBatch } from '../../../lib/images/image-batch.js';
import { valueOfLevel } from '../../../lib/base/pixel-range.js';
import { valuesOf } from '../../../lib/images/given-images.js';

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

  it('give a copy of their levels', () => {
    const batch = new ImageBatch(Uint8Array.of(1, 2, 3, 4), shape);
    batch.toUint8().fill(0);
    expect([...batch.toUint8()]).toEqual([1, 2, 3, 4]);
  });

  it.each([new Float32Array(4), new Uint8Array(4)])('say that their values were transferred away', (values) => {
    const batch = new ImageBatch(values, shape);
    structuredClone(values, { transfer: [values.buffer] });
    for (const call of [() => batch.data, () => batch.toUint8()]) {
      expect(call).toThrow(expect.objectContaining({ code: 'ERR_DPM_ARGUMENT' }));
    }
  });

  it('are mapped from their black and white to those of a model', () => {
    const batch = new ImageBatch(Float32Array.of(1, 1.5, 2, 3), shape, [1, 3]);
    const like = { sampleShape: shape.slice(1), range: [-1, 1] } as const;
    expect([...valuesOf('images', batch, like)]).toEqual([-1, -0.5, 0, 1]);
    expect(valuesOf('images', batch, { ...like, range: [1, 3] })).toBe(batch.data);
  });
});
