// Tensors of a checkpoint that are put together from constants, one after the other in the same memory.
import { expect, it } from 'vitest';

import { CheckpointTensors } from '../../../lib/engine/checkpoint-tensors.js';

it('have zeros where no constant is, whatever was lent before', () => {
  const part = (name: string, offset: number) => ({
    name: `${name} ${offset}`,
    shape: [2],
    values: new Float32Array(2),
    source: { name, shape: [5], view: { offset, dims: [2], strides: [2] } },
  });
  const tensors = new CheckpointTensors([part('first', 0), part('second', 1)]);
  const places = [0, 1].map((constant) => ({ constant, offset: 2 * constant, elements: 2 }));
  const lent = tensors.lent(Float32Array.of(1, 2, 3, 4), places);
  const numbers = [...lent].map(([name, { data }]) => [name, [...(data() as Float32Array)]]);
  expect(numbers).toEqual([
    ['first', [1, 0, 2, 0, 0]],
    ['second', [0, 3, 0, 4, 0]],
  ]);
});
