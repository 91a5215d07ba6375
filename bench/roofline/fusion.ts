// The graph as it is fused for the cuda device with cuDNN, from that of the cpu device.
import type { NativeMap, NativeNode } from '../../lib/engine/native-node.js';
import { plainNode } from './plain-node.js';

/** An enlargement by itself, and the convolution of what it writes: cuDNN reads maps as they are. */
function withoutEnlargement(node: NativeNode): NativeNode[] {
  const [x, vector, residual] = node.inputs;
  if (node.op !== 'convolution' || !node.upsample || x === null) return [node];
  const { channels, height, width } = x;
  const enlarged: NativeMap = {
    // No other value has this name, and no other node reads this one.
    value: -1,
    channels,
    height: 2 * height,
    width: 2 * width,
    storage: -1,
    firstChannel: 0,
    pixelStride: channels,
    role: 'internal',
  };
  const enlargement: NativeNode = {
    ...plainNode,
    name: `${node.name} (enlarged)`,
    op: 'upsample',
    inputs: [x, null, null],
    output: enlarged,
  };
  return [enlargement, { ...node, inputs: [enlarged, vector, residual], upsample: false }];
}

/** Mirrors move_vectors_to_norms of native/graph/passes/fusion.cc, which the cpu device refuses. */
function withVectorsInNorms(nodes: readonly NativeNode[]): NativeNode[] {
  const uses = new Map<number, number>();
  for (const map of nodes.flatMap(({ inputs }) => inputs)) {
    if (map !== null) uses.set(map.value, (uses.get(map.value) ?? 0) + 1);
  }
  const result = [...nodes];
  const writers = new Map(nodes.map(({ output }, index) => [output.value, index]));
  for (const [index, norm] of nodes.entries()) {
    const [x, scaleShift, added] = norm.inputs;
    if (norm.op !== 'group_norm' || x === null || added !== null || uses.get(x.value) !== 1) continue;
    const writer = writers.get(x.value) ?? -1;
    const producer = nodes[writer];
    if (producer?.op !== 'convolution') continue;
    const [map, vector, residual] = producer.inputs;
    if (vector === null || residual !== null || producer.silu || producer.scale !== 1) continue;
    result[index] = { ...norm, inputs: [x, scaleShift, vector] };
    result[writer] = { ...producer, inputs: [map, null, null] };
  }
  return result;
}

/** A node, with facts that follow from its place in the graph. */
export interface CudaNode extends NativeNode {
  /** True for a convolution that only a norm reads, which adds the bias that the node still has. */
  biasInNorm: boolean;
}

/** Mirrors move_biases_to_norms of native/graph/passes/fusion.cc. */
function withBiasesInNorms(nodes: readonly NativeNode[]): CudaNode[] {
  const readers = new Map<number, NativeNode[]>();
  for (const node of nodes) {
    for (const map of node.inputs) if (map !== null) readers.set(map.value, [...(readers.get(map.value) ?? []), node]);
  }
  return nodes.map((node) => {
    const [reader, ...others] = readers.get(node.output.value) ?? [];
    const [, vector, residual] = node.inputs;
    const isPlain = node.op === 'convolution' && vector === null && residual === null && !node.silu && node.scale === 1;
    const isRead = reader?.op === 'group_norm' && others.length === 0 && reader.inputs[0]?.value === node.output.value;
    return { ...node, biasInNorm: isPlain && node.bias && node.parts === 1 && isRead };
  });
}

/** A graph fused for the cpu device as the cuda device with cuDNN would have it. */
export function cudaNodes(nodes: readonly NativeNode[]): CudaNode[] {
  return withBiasesInNorms(withVectorsInNorms(nodes).flatMap(withoutEnlargement));
}
