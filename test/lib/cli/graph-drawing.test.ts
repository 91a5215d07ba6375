// Drawings of graphs for Graphviz.
import { describe, expect, it } from 'vitest';

import { plainNode } from '../../../bench/roofline/plain-node.js';
import { graphDrawing } from '../../../lib/cli/graph-drawing.js';
import type { NativeMap, NativeNode } from '../../../lib/engine/native-node.js';

const map = (value: number, change: Partial<NativeMap> = {}): NativeMap => ({
  value,
  storage: value,
  channels: 3,
  height: 8,
  width: 4,
  firstChannel: 0,
  pixelStride: 3,
  role: 'internal',
  ...change,
});

const node = (name: string, inputs: NativeNode['inputs'], output: NativeMap): NativeNode => ({
  ...plainNode,
  name,
  op: 'silu',
  inputs,
  output,
});

describe('a drawing of a graph', () => {
  it('has an edge for all that is read and written, and a dotted one to what a value lies in', () => {
    const image = map(0, { role: 'image' });
    const part = map(1, { storage: 2, channels: 1, role: 'output' });
    const whole = map(2, { role: 'output' });
    const drawing = graphDrawing([node('first', [image, null, null], part), node('last', [part, null, image], whole)]);
    expect(drawing).toBe(`digraph network {
  node [shape=box];
  v0 [shape=ellipse, label="image 3 x 8 x 4"];
  v1 [shape=plain, label="1 x 8 x 4"];
  v1 -> v2 [style=dotted];
  v2 [shape=ellipse, label="output 3 x 8 x 4"];
  n0 [label="first (silu)"];
  v0 -> n0;
  n0 -> v1;
  n1 [label="last (silu)"];
  v1 -> n1;
  v0 -> n1;
  n1 -> v2;
}`);
  });

  it('quotes whatever is in a name', () => {
    const drawing = graphDrawing([node('a "b"\\\n\tc', [map(0), null, null], map(1))]);
    expect(drawing).toContain('n0 [label="a \\"b\\"\\\\  c (silu)"];');
  });
});
