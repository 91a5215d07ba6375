import { describe, expect, it } from 'vitest';

import { plainNode } from '../../../bench/roofline/plain-node.js';
import { sumByKind, workOf } from '../../../lib/cli/bench/floor.js';
import type { NativeMap, NativeNode } from '../../../lib/engine/native-node.js';

const map = (channels: number, side: number): NativeMap => ({
  value: 0,
  channels,
  height: side,
  width: side,
  storage: 0,
  firstChannel: 0,
  pixelStride: channels,
  role: 'internal',
});

/** A convolution of a map of `side` x `side` pixels and as many channels out as in. */
function convolution(channels: number, side: number, kernel: number, more: Partial<NativeNode> = {}): NativeNode {
  const weightElements = channels * channels * kernel * kernel;
  return {
    ...plainNode,
    name: 'convolution',
    op: 'convolution',
    inputs: [map(channels, side), null, null],
    output: map(channels, side),
    weightElements,
    multiplyAdds: weightElements * side * side,
    kernel,
    ...more,
  };
}

/** 1 GFLOP and 1 GB in a millisecond. */
const rates = { gflops: 1000, copyGigabytesPerSecond: 1000 };

describe('the floor of an operation', () => {
  it('counts maps of all images, and weights once', () => {
    const node = convolution(100, 10, 1);
    expect(workOf(node, 3, rates).bytes).toBe(4 * (3 * (100 * 100 + 100 * 100) + 100 * 100));
    const residual = { ...node, inputs: [map(100, 10), null, map(100, 10)] as NativeNode['inputs'] };
    expect(workOf(residual, 3, rates).bytes - workOf(node, 3, rates).bytes).toBe(4 * 3 * 100 * 100);
  });

  it('is arithmetic at the peak where that takes longer than the bytes', () => {
    // 100^2 weights at 10^4 pixels: 0.2 GFLOP, 8 MB of maps.
    const work = workOf(convolution(100, 100, 1), 1, rates);
    expect(work).toMatchObject({ kind: 'convolution 1x1', floor: { limit: 'arithmetic' } });
    expect(work.floor.milliseconds).toBeCloseTo(0.2, 9);
    expect(workOf(convolution(100, 100, 1), 4, { ...rates, gflops: 2000 }).floor.milliseconds).toBeCloseTo(0.4, 9);
  });

  it('is bytes at the rate of a copy where those take longer', () => {
    // 10^6 weights at one pixel: 2 MFLOP, 4 MB.
    const node = convolution(1000, 1, 1);
    const work = workOf(node, 1, { ...rates, copyGigabytesPerSecond: 100 });
    expect(work).toMatchObject({ kind: 'linear layer', floor: { limit: 'memory' } });
    expect(work.floor.milliseconds).toBeCloseTo((4 * (1e6 + 2000)) / 1e8, 9);
  });

  it("is the lesser one of a direct 3x3 convolution's and of Winograd's", () => {
    // Many pixels: a quarter of 1.8 GFLOP.
    expect(workOf(convolution(100, 100, 3), 1, rates).floor.milliseconds).toBeCloseTo(1.8 / 4, 9);
    // One row of few pixels: Winograd's weights take longer than the products that they save.
    const few = convolution(1000, 2, 3);
    const { milliseconds, limit } = workOf(few, 1, rates).floor;
    expect(limit).toBe('arithmetic');
    expect(milliseconds).toBeCloseTo((2 * 9e6 * 4) / 1e9, 9);
    // Neither of strides nor of other kernels.
    expect(workOf(convolution(100, 100, 3, { stride: 2 }), 1, rates)).toMatchObject({
      kind: 'convolution 3x3, stride 2',
      floor: { milliseconds: 1.8 },
    });
  });

  it('names what is no convolution by its operation', () => {
    const norm = convolution(100, 10, 1, { op: 'group_norm', weightElements: 0, multiplyAdds: 0 });
    expect(workOf(norm, 1, rates)).toMatchObject({ kind: 'group norm', bytes: 80_000, floor: { limit: 'memory' } });
  });

  it('sums by kind, most to gain first, and no node hides what another loses', () => {
    const node = (kind: string, milliseconds: number, floor: number) => ({
      kind,
      bytes: 0,
      milliseconds,
      floor: { milliseconds: floor, limit: 'memory' as const },
    });
    expect(sumByKind([node('a', 1, 2), node('b', 3, 1), node('a', 5, 4)])).toEqual([
      { kind: 'b', nodes: 1, milliseconds: 3, floorMilliseconds: 1, aboveMilliseconds: 2 },
      { kind: 'a', nodes: 2, milliseconds: 6, floorMilliseconds: 6, aboveMilliseconds: 1 },
    ]);
  });
});
