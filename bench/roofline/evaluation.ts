// The kernels of a whole evaluation, and of the step around it: which nodes have none of their own.
import type { NativeMap, NativeNode } from '../../lib/engine/native-node.js';
import type { CudaNode } from './fusion.js';
import {
  completes,
  completingNorm,
  floatBytes,
  isLinear,
  isPrediction,
  isSmall,
  kernelsOfNode,
  mapBytes,
  moving,
  pixelsOf,
  smallConvolution,
  type Kernel,
} from './kernels.js';
import { storedElementBytes, storedPixelStride, type RooflineType } from './layout.js';

/** Nodes whose results follow from times and labels alone: a trajectory has them before its first step. */
function conditionsOf(nodes: readonly NativeNode[]): Set<NativeNode> {
  const values = new Set<number>();
  const conditions = new Set<NativeNode>();
  for (const node of nodes) {
    const maps = node.inputs.filter((map) => map !== null);
    const isEmbedding = node.op === 'time_embedding' || node.op === 'embedding';
    if (node.output.role !== 'internal' || !(isEmbedding || maps.every(({ value }) => values.has(value)))) continue;
    conditions.add(node);
    values.add(node.output.value);
  }
  return conditions;
}

/** The norm of which a convolution is the only reader. */
function normBefore(nodes: readonly NativeNode[], node: NativeNode): NativeNode | null {
  const value = node.inputs[0]?.value;
  const readers = nodes.flatMap(({ inputs }) => inputs).filter((map) => map?.value === value);
  const writer = nodes.find(({ op, output }) => op === 'group_norm' && output.value === value);
  return readers.length === 1 ? (writer ?? null) : null;
}

/** All kernels of one evaluation of `nodes`, as `cudaNodes` gives them, within a trajectory. */
export function evaluationKernels(nodes: readonly CudaNode[], type: RooflineType, batch: number): Kernel[] {
  const conditions = conditionsOf(nodes);
  const small = new Map<NativeNode, NativeNode | null>();
  for (const node of nodes) {
    if (node.op !== 'convolution' || isLinear(node) || isPrediction(node, type)) continue;
    const norm = normBefore(nodes, node);
    if (isSmall(node, norm, type, batch)) small.set(node, norm);
  }
  const takenOver = new Set(small.values());
  let left: Kernel | undefined;
  return nodes.flatMap((node, index) => {
    if (conditions.has(node) || takenOver.has(node)) return [];
    const norm = small.get(node);
    if (norm !== undefined) return [smallConvolution(node, norm, type)];
    if (left !== undefined) {
      const kernel = completingNorm(left, node, type);
      left = undefined;
      return [kernel];
    }
    const kernels = kernelsOfNode(node, type);
    const next = nodes[index + 1];
    if (node.op !== 'convolution' || kernels.length < 2 || takenOver.has(next!)) return kernels;
    if (!completes(next, node, nodes, type)) return kernels;
    left = kernels[1];
    return kernels.slice(0, 1);
  });
}

/** The bytes of UpdateSample in cuda/kernels/update.h. */
const updateSampleBytes = 228;

/**
 * The kernels that a trajectory adds to every evaluation: the choice of the step's records and conditions, and one kernel that
 * converts the prediction, updates states of `state` (a sampler that reads and writes x) and loads the next image.
 */
export function stepKernels(nodes: readonly CudaNode[], type: RooflineType): Kernel[] {
  const conditions = conditionsOf(nodes);
  const read = new Map<number, number>();
  for (const node of nodes) {
    if (conditions.has(node)) continue;
    for (const map of node.inputs) {
      const isCondition = [...conditions].some(({ output }) => output.value === map?.value);
      if (map !== null && isCondition) read.set(map.value, mapBytes(map, type));
    }
  }
  const vectors = [...read.values()].reduce((sum, bytes) => sum + bytes, 0);
  const maps = nodes.flatMap(({ inputs, output }) => [...inputs, output]).filter((map) => map !== null);
  const bytesOf = (role: NativeMap['role']): number => {
    const map = maps.find((each) => each.role === role);
    return map === undefined ? 0 : storedPixelStride(map, type) * pixelsOf(map) * storedElementBytes(map, type);
  };
  const image = maps.find(({ role }) => role === 'image');
  const elements = image === undefined ? 0 : image.channels * pixelsOf(image);
  const predictions = bytesOf('output') + bytesOf('head');
  return [
    moving('select step', 'update', 2 * updateSampleBytes + floatBytes + 2 * vectors),
    moving('finish step', 'update', 3 * elements * floatBytes + predictions + bytesOf('image') + updateSampleBytes),
  ];
}
