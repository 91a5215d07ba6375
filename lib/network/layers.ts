import type { GraphBuilder } from './graph.js';

/** A value with the bias `<name>.bias` on every channel. */
export function biased(graph: GraphBuilder, name: string, product: number): number {
  const biases = [graph.constant(`${name}.bias`, [graph.value(product).channels])];
  return graph.add({ op: 'bias' }, `${name}.bias`, [product], { biases });
}

/** A linear layer on every pixel, its weight [to, from]. */
export function linear(graph: GraphBuilder, name: string, input: number, to: number): number {
  const weights = [graph.constant(`${name}.weight`, [to, graph.value(input).channels])];
  const operation = { op: 'convolution', kernel: 1, stride: 1, padBefore: 0, padAfter: 0 } as const;
  return biased(graph, name, graph.add(operation, name, [input], { weights }));
}
