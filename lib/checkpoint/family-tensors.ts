import { at } from '../base/arrays.js';
import type { UNetDescription } from '../network/description.js';
import type { TensorSource } from './tensor-source.js';

/** Patterns and their replacements, each tried once, in order. */
export type Renames = readonly (readonly [pattern: RegExp, replacement: string])[];

export function renamed(renames: Renames, name: string): string {
  return renames.reduce((current, [pattern, replacement]) => current.replace(pattern, replacement), name);
}

/** Order of the rows of queries, keys and values in one tensor, for each head and each of its elements. */
export type FusedOrder = 'by-head' | 'by-part' | 'interleaved';

const projection = /^(.+)\.to_([qkv])\.(weight|bias)$/;

const parts: Readonly<Record<string, number>> = { q: 0, k: 1, v: 2 };

/** The first row of a part in the file, and how far apart its rows (head, element) are. */
function rowsOf(part: number, channels: number, size: number, order: FusedOrder): { first: number; strides: number[] } {
  switch (order) {
    case 'by-head':
      return { first: part * size, strides: [3 * size, 1] };
    case 'by-part':
      return { first: part * channels, strides: [size, 1] };
    case 'interleaved':
      return { first: part, strides: [3 * size, 3] };
  }
}

/**
 * Makes the sources of attention projections that a family keeps in one tensor `<block>.qkv`.
 *
 * @param kernel - Dimensions of 1 after those of the stored matrix: `[1, 1]` of a 1x1 convolution.
 * @returns The source of a canonical weight, or null for another weight.
 */
export function fusedProjections(
  blocks: UNetDescription['blocks'],
  order: FusedOrder,
  kernel: readonly number[],
): (name: string, shape: readonly number[]) => TensorSource | null {
  const headsOf = new Map(blocks.flatMap((block) => (block.kind === 'attention' ? [[block.name, block.heads]] : [])));
  return (name, shape) => {
    const [, block = '', part = '', kind = ''] = projection.exec(name) ?? [];
    const heads = headsOf.get(block);
    if (heads === undefined) return null;
    const channels = at(shape, 0);
    const size = channels / heads;
    const { first, strides } = rowsOf(parts[part] ?? 0, channels, size, order);
    const key = `${block}.qkv.${kind}`;
    if (kind === 'bias') {
      return { key, shape: [3 * channels], view: { offset: first, dims: [heads, size], strides } };
    }
    const rows = strides.map((stride) => stride * channels);
    return {
      key,
      shape: [3 * channels, channels, ...kernel],
      view: { offset: first * channels, dims: [heads, size, channels], strides: [...rows, 1] },
    };
  };
}
