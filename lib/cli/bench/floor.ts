// What a measured operation is compared with, on any device; bench/roofline predicts the kernels of a card.
import type { NativeRates } from '../../engine/native-engine.js';
import type { NativeMap, NativeNode } from '../../engine/native-node.js';

/** The least that an operation could take, by the roofline model (Williams et al. 2009). */
export interface Floor {
  milliseconds: number;
  limit: 'arithmetic' | 'memory';
}

/** Facts about an operation of an evaluation of a whole batch. */
export interface Work {
  /** Kind of operation, such as `convolution 3x3`. */
  kind: string;
  /** Bytes of float32 that it reads and writes at least: its maps, and its weights once. */
  bytes: number;
  floor: Floor;
}

const FLOAT_BYTES = 4;
/** Winograd's F(4x4, 3x3): 36 products for 16 outputs that take 144, from weights of 36 numbers instead of 9. */
const winograd = { fewerProducts: 144 / 36, moreWeights: 36 / 9 };

const elementsOf = (map: NativeMap | null): number => (map === null ? 0 : map.channels * map.height * map.width);

function kindOf({ op, kernel, stride, output }: NativeNode): string {
  if (op !== 'convolution') return op.replaceAll('_', ' ');
  if (output.height === 1 && output.width === 1) return 'linear layer';
  return `convolution ${kernel}x${kernel}${stride > 1 ? `, stride ${stride}` : ''}`;
}

/** GFLOP/s of so many multiply-adds in that time. */
export function gflopsOf(multiplyAdds: number, milliseconds: number): number {
  return (2 * multiplyAdds) / milliseconds / 1e6;
}

function floorOf(multiplyAdds: number, bytes: number, { gflops, copyGigabytesPerSecond }: NativeRates): Floor {
  const arithmetic = (2 * multiplyAdds) / gflops / 1e6;
  const memory = bytes / copyGigabytesPerSecond / 1e6;
  return memory > arithmetic
    ? { milliseconds: memory, limit: 'memory' }
    : { milliseconds: arithmetic, limit: 'arithmetic' };
}

/**
 * Tells what a node has to do for `batch` images, and the least time that takes: the larger of its arithmetic at the device's peak
 * and of its bytes at the rate of a copy. For 3x3 convolutions of stride 1 it is that of a direct convolution or of Winograd's,
 * whichever is less.
 */
export function workOf(node: NativeNode, batch: number, rates: NativeRates): Work {
  const { inputs, output, weightElements, multiplyAdds } = node;
  const maps = batch * FLOAT_BYTES * [...inputs, output].reduce((sum, map) => sum + elementsOf(map), 0);
  const weights = FLOAT_BYTES * weightElements;
  const kind = kindOf(node);
  let floor = floorOf(batch * multiplyAdds, maps + weights, rates);
  if (kind === 'convolution 3x3') {
    const products = (batch * multiplyAdds) / winograd.fewerProducts;
    const transformed = floorOf(products, maps + winograd.moreWeights * weights, rates);
    if (transformed.milliseconds < floor.milliseconds) floor = transformed;
  }
  return { kind, bytes: maps + weights, floor };
}

/** Sums of the operations of one kind, and what they take above their floors. */
export interface KindSum {
  kind: string;
  nodes: number;
  milliseconds: number;
  floorMilliseconds: number;
  aboveMilliseconds: number;
}

/** Sums times by kind of operation, that with the most time above its floor first. */
export function sumByKind(nodes: readonly (Work & { milliseconds: number })[]): KindSum[] {
  const sums = new Map<string, KindSum>();
  for (const { kind, milliseconds, floor } of nodes) {
    const sum = sums.get(kind) ?? { kind, nodes: 0, milliseconds: 0, floorMilliseconds: 0, aboveMilliseconds: 0 };
    sum.nodes += 1;
    sum.milliseconds += milliseconds;
    sum.floorMilliseconds += floor.milliseconds;
    // What a cache serves faster than memory does must not hide what another operation takes too long.
    sum.aboveMilliseconds += Math.max(0, milliseconds - floor.milliseconds);
    sums.set(kind, sum);
  }
  return [...sums.values()].sort((a, b) => b.aboveMilliseconds - a.aboveMilliseconds);
}
