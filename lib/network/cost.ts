import { at, elementCount } from '../base/arrays.js';
import type { Graph } from './graph.js';
import type { GraphNode } from './operation.js';

/** Lists the weights a network needs, with their shapes, by canonical name in the order of evaluation. */
export function requiredTensors({ constants }: Graph): Map<string, number[]> {
  const weights = constants.filter(({ values }) => values === undefined);
  return new Map(weights.map(({ name, shape }) => [name, [...shape]]));
}

/** Counts the elements of tensors of the given shapes. */
export function countElements(shapes: Iterable<readonly number[]>): number {
  return [...shapes].reduce((sum, shape) => sum + elementCount(shape), 0);
}

/**
 * Counts the parameters of a network.
 *
 * @param isCounted - Tells of a weight's name whether it counts. Default: all do.
 */
export function parameterCount(graph: Graph, isCounted: (name: string) => boolean = () => true): number {
  return countElements([...requiredTensors(graph)].filter(([name]) => isCounted(name)).map(([, shape]) => shape));
}

function nodeCost({ values }: Graph, node: GraphNode): number {
  const elements = (index: number): number => {
    const { channels, height, width } = at(values, index);
    return channels * height * width;
  };
  switch (node.op) {
    case 'convolution':
      return elements(at(node.outputs, 0)) * at(values, at(node.inputs, 0)).channels * node.kernel ** 2;
    case 'attention': {
      const keys = at(values, at(node.inputs, 1));
      return 2 * elements(at(node.inputs, 0)) * keys.height * keys.width;
    }
    default:
      return 0;
  }
}

/** Counts the multiply-adds of convolutions, linear layers and attention in one evaluation of one image. */
export function multiplyAdds(graph: Graph): number {
  return graph.nodes.reduce((sum, node) => sum + nodeCost(graph, node), 0);
}
