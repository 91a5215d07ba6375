import type { UNetDescription } from './description.js';
import type { GraphBuilder } from './graph.js';
import { linear } from './layers.js';

/** Makes a matrix of rows of `columns` elements. */
function matrix(rows: number, columns: number, element: (row: number, column: number) => number): Float32Array {
  return Float32Array.from({ length: rows * columns }, (_, i) => element(Math.floor(i / columns), i % columns));
}

/** Computes the mean of every row of pixels, then of these. */
function mean(graph: GraphBuilder, features: number): number {
  const { height, width } = graph.value(features);
  const weights = (['rows', 'columns'] as const).map((axis) => {
    const side = axis === 'rows' ? height : width;
    return graph.given(`pool.mean.${axis}`, [1, side], new Float32Array(side).fill(1 / side));
  });
  return graph.add({ op: 'separable' }, 'pool.mean', [features], { weights });
}

/** Applies a matrix to a single row of pixels. */
function alongRow(graph: GraphBuilder, name: string, input: number, rows: number, values: Float32Array): number {
  const one = graph.given(`${name}.rows`, [1, 1], Float32Array.of(1));
  const weights = [one, graph.given(`${name}.columns`, [rows, graph.value(input).width], values)];
  return graph.add({ op: 'separable' }, name, [input], { weights });
}

/** Computes attention from the mean of all pixels, which precedes them as one more pixel. */
function attention(graph: GraphBuilder, features: number, heads: number, outputs: number): number {
  const { channels, height, width } = graph.value(features);
  const pixels = height * width;
  const row = graph.add({ op: 'view', first: 0, channels, height: 1, width: pixels }, 'pool.pixels', [features]);
  const meanFirst = matrix(pixels + 1, pixels, (to, from) => (to === 0 ? 1 / pixels : Number(to === from + 1)));
  const biases = [graph.constant('pool.position', [channels, pixels + 1])];
  const tokens = alongRow(graph, 'pool.tokens', row, pixels + 1, meanFirst);
  const placed = graph.add({ op: 'position' }, 'pool.position', [tokens], { biases });
  const parts = ['to_q', 'to_k', 'to_v'].map((part) => linear(graph, `pool.${part}`, placed, channels));
  const attended = graph.add({ op: 'attention', heads }, 'pool.attention', parts);
  const projected = linear(graph, 'pool.to_out', attended, outputs);
  const first = matrix(1, pixels + 1, (_, from) => Number(from === 0));
  return alongRow(graph, 'pool.first', projected, 1, first);
}

/**
 * Computes the logits of a classifier, `outputs` channels of one pixel.
 *
 * @param features - The map after the output norm and its SiLU.
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` if the heads do not divide the map's channels.
 */
export function pooled(
  graph: GraphBuilder,
  features: number,
  pool: Exclude<NonNullable<UNetDescription['pool']>, { method: 'features' }>,
  outputs: number,
): number {
  if (pool.method === 'attention') return attention(graph, features, pool.heads, outputs);
  return linear(graph, 'pool.to_out', mean(graph, features), outputs);
}
