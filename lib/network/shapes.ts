import { DpmError } from '../base/errors.js';
import type { Extents, GraphConstant, Operation } from './operation.js';

// Limits of native/graph, which refuses the same.
const mostChannels = 2 ** 24;
const largestSide = 65_536;
const mostElements = 2 ** 31 - 1;

/** Channels of what dropout takes beside its map: four bytes of a step, and four of a slot. */
export const DROPOUT_BYTES = 8;

function mismatch(name: string, problem: string): DpmError {
  return new DpmError('ERR_DPM_TENSOR_SHAPE', `${name}: ${problem}`);
}

/** Checks sizes. @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` if a value is empty or too large to count. */
export function requireExtents(name: string, extents: Extents): void {
  const { channels, height, width } = extents;
  const isSize = (size: number, most: number): boolean => Number.isInteger(size) && size >= 1 && size <= most;
  const fits = isSize(channels, mostChannels) && isSize(height, largestSide) && isSize(width, largestSide);
  if (!fits || channels * height * width > mostElements) {
    throw mismatch(name, `${channels} x ${height} x ${width} is empty or too large`);
  }
}

function input(name: string, inputs: readonly Extents[], index: number): Extents {
  const value = inputs[index];
  if (value === undefined) throw mismatch(name, 'an input is missing');
  return value;
}

function sameExtents(a: Extents, b: Extents): boolean {
  return a.channels === b.channels && a.height === b.height && a.width === b.width;
}

function requireSame(name: string, inputs: readonly Extents[], what: string): Extents {
  const first = input(name, inputs, 0);
  if (!inputs.every((other) => sameExtents(first, other))) throw mismatch(name, `${what} differ in shape`);
  return first;
}

function requireVector(name: string, vector: Extents, channels: number): void {
  if (!sameExtents(vector, { channels, height: 1, width: 1 })) {
    throw mismatch(name, `the channel vector has ${vector.channels} entries, expected ${channels}`);
  }
}

function requireDivisible(name: string, channels: number, parts: number, what: string): void {
  if (!Number.isInteger(parts) || parts < 1 || channels % parts !== 0) {
    throw mismatch(name, `${channels} channels do not divide into ${parts} ${what}`);
  }
}

function convolved(
  name: string,
  { kernel, stride, padBefore, padAfter }: Operation & { op: 'convolution' },
  map: Extents,
  weights: readonly GraphConstant[],
): Extents {
  const wrong = weights.find(({ shape }) => shape[1] !== map.channels);
  if (wrong !== undefined || weights.length === 0) {
    throw mismatch(
      name,
      `tensor ${wrong?.name ?? ''} is of ${wrong?.shape[1] ?? 0} channels, the map has ${map.channels}`,
    );
  }
  const to = weights.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0);
  const size = (side: number): number => Math.floor((side + padBefore + padAfter - kernel) / stride) + 1;
  return { channels: to, height: size(map.height), width: size(map.width) };
}

function halved(name: string, map: Extents, lost: number): Extents {
  if (map.height % 2 !== 0 || map.width % 2 !== 0) throw mismatch(name, "the map's sides are odd");
  return { channels: map.channels, height: map.height / 2 - lost, width: map.width / 2 - lost };
}

/** Counts the rows of the matrix of one axis, whose columns are `side`. */
function resampledSide(name: string, matrix: GraphConstant | undefined, side: number): number {
  const [to = 0, from] = matrix?.shape ?? [];
  if (matrix?.shape.length === 2 && from === side) return to;
  throw mismatch(name, `tensor ${matrix?.name ?? ''} is no matrix of ${side} columns`);
}

function pixels({ height, width }: Extents): number {
  return height * width;
}

function attended(
  name: string,
  { heads, causal = false }: Operation & { op: 'attention' },
  inputs: readonly Extents[],
): Extents {
  const [q, k, v] = [input(name, inputs, 0), input(name, inputs, 1), input(name, inputs, 2)];
  requireDivisible(name, q.channels, heads, 'heads');
  if (!sameExtents(k, v)) throw mismatch(name, 'k and v differ in shape');
  if (k.channels !== q.channels) throw mismatch(name, 'q and k differ in channels');
  if (causal && pixels(k) !== pixels(q)) throw mismatch(name, 'causal attention has as many keys as queries');
  const logits = inputs[3];
  if (logits !== undefined && !sameExtents(logits, { channels: pixels(k), height: 1, width: 1 })) {
    throw mismatch(name, 'there is not one logit a key');
  }
  return q;
}

function infer(
  name: string,
  operation: Operation,
  inputs: readonly Extents[],
  constants: readonly GraphConstant[],
): Extents {
  const map = input(name, inputs, 0);
  const vector = (channels: number): Extents => ({ channels, height: 1, width: 1 });
  switch (operation.op) {
    case 'time_embedding':
      return vector(operation.length);
    case 'embedding':
      return vector(constants[0]?.shape[1] ?? 0);
    case 'convolution':
      return convolved(name, operation, map, constants);
    case 'group_norm':
      requireDivisible(name, map.channels, operation.groups, 'groups');
      return map;
    case 'attention':
      return attended(name, operation, inputs);
    case 'dropout':
      requireVector(name, input(name, inputs, 1), DROPOUT_BYTES);
      return map;
    case 'geglu':
      if (map.channels % 2 !== 0) throw mismatch(name, 'its channels have no halves');
      return { ...map, channels: map.channels / 2 };
    case 'channel_add':
    case 'scale_shift':
      requireVector(name, input(name, inputs, 1), (operation.op === 'scale_shift' ? 2 : 1) * map.channels);
      return map;
    case 'add':
      return requireSame(name, inputs, 'the maps');
    case 'concat': {
      const second = input(name, inputs, 1);
      if (map.height !== second.height || map.width !== second.width) throw mismatch(name, 'the maps differ in size');
      return { ...map, channels: map.channels + second.channels };
    }
    case 'upsample': {
      const { height = 2 * map.height, width = 2 * map.width } = operation;
      return { channels: map.channels, height, width };
    }
    case 'fir_upsample':
      return { channels: map.channels, height: 2 * map.height, width: 2 * map.width };
    case 'average_pool':
      return halved(name, map, 0);
    case 'fir_downsample':
      return halved(name, map, 1 - operation.padding);
    case 'view': {
      const { first, channels, height, width } = operation;
      if (!(first >= 0 && first + channels <= map.channels)) throw mismatch(name, 'its channels leave the map');
      if (height * width !== pixels(map)) throw mismatch(name, 'it has another number of pixels');
      return { channels, height, width };
    }
    case 'separable':
      return {
        channels: map.channels,
        height: resampledSide(name, constants[0], map.height),
        width: resampledSide(name, constants[1], map.width),
      };
    case 'bias':
    case 'position':
    case 'layer_norm':
    case 'silu':
    case 'activation':
    case 'affine':
      return map;
  }
}

/**
 * Infers the shape of an operation's result.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` naming the node whose inputs or weights do not fit.
 */
export function inferShape(
  name: string,
  operation: Operation,
  inputs: readonly Extents[],
  constants: readonly GraphConstant[],
): Extents {
  const { channels, height, width } = infer(name, operation, inputs, constants);
  requireExtents(name, { channels, height, width });
  return { channels, height, width };
}
