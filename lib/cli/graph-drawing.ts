import type { NativeMap, NativeNode } from '../engine/native-node.js';

/** Quotes a text for Graphviz, as names may hold any characters. */
function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&').replace(/[\0-\x1f]/g, ' ')}"`;
}

function valueLines({ value, storage, role, channels, height, width }: NativeMap): string[] {
  const isCallers = role !== 'internal' && storage === value;
  const label = `${isCallers ? `${role} ` : ''}${channels} x ${height} x ${width}`;
  return [
    `v${value} [shape=${isCallers ? 'ellipse' : 'plain'}, label=${quoted(label)}];`,
    ...(storage === value ? [] : [`v${value} -> v${storage} [style=dotted];`]),
  ];
}

/** Draws a graph for Graphviz: an edge from the writer of a value to each of its readers, a dotted one to its storage. */
export function graphDrawing(nodes: readonly NativeNode[]): string {
  const values = new Map<number, NativeMap>();
  const edges = nodes.flatMap(({ name, op, inputs, output }, index) => {
    const read = inputs.filter((map) => map !== null);
    for (const map of [...read, output]) values.set(map.value, map);
    return [
      `n${index} [label=${quoted(`${name} (${op})`)}];`,
      ...read.map(({ value }) => `v${value} -> n${index};`),
      `n${index} -> v${output.value};`,
    ];
  });
  const lines = ['node [shape=box];', ...[...values.values()].flatMap(valueLines), ...edges];
  return ['digraph network {', ...lines.map((line) => `  ${line}`), '}'].join('\n');
}
