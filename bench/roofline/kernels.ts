// The kernels that the CUDA device with cuDNN launches for a graph, their FLOPs and bytes.
import type { NativeMap, NativeNode } from '../../lib/engine/binding.js';
import type { Unit } from './cards.js';
import {
  convolutionChannels,
  elementBytes,
  normChunks,
  normPasses,
  storedPixelStride,
  type RooflineType,
} from './layout.js';

/** Parts of a step that are summed up by themselves. */
export const kernelKinds = [
  'convolution',
  'attention',
  'linear',
  'group norm',
  'element-wise',
  'resample',
  'embedding',
  'border',
  'update',
] as const;
export type KernelKind = (typeof kernelKinds)[number];

/** One launch. */
export interface Kernel {
  name: string;
  kind: KernelKind;
  unit: Unit;
  /** FLOP a sample, two per multiply-add: what the network asks for, and with the padding of channels. */
  flops: number;
  executedFlops: number;
  /** Bytes whatever the batch (weights), and bytes a sample. Everything is counted as read or written once. */
  fixedBytes: number;
  sampleBytes: number;
}

const floatBytes = 4;

function pixelsOf(map: NativeMap): number {
  return map.height * map.width;
}

function mapBytes(map: NativeMap, type: RooflineType): number {
  return map.channels * pixelsOf(map) * elementBytes(type);
}

/** A kernel that only moves numbers. */
function moving(name: string, kind: KernelKind, sampleBytes: number, fixedBytes = 0): Kernel {
  return { name, kind, unit: 'f32', flops: 0, executedFlops: 0, fixedBytes, sampleBytes };
}

function input(node: NativeNode, index: 0 | 1 | 2): NativeMap {
  const map = node.inputs[index];
  if (map === null) throw new Error(`${node.name} has no input ${index}`);
  return map;
}

/** Whether it is a product of vectors, which has a kernel of its own (is_product_of_vectors in cuda/layers/layer.cc). */
export function isLinear(node: NativeNode): boolean {
  const isVector = (map: NativeMap): boolean => pixelsOf(map) === 1;
  return (
    node.op === 'convolution' &&
    node.kernel === 1 &&
    node.stride === 1 &&
    node.inputs[1] === null &&
    node.inputs[2] === null &&
    isVector(input(node, 0)) &&
    isVector(node.output) &&
    node.output.role === 'internal'
  );
}

function linearKernel(node: NativeNode, type: RooflineType): Kernel {
  const biases = node.bias ? node.output.channels * floatBytes : 0;
  return {
    name: node.name,
    kind: 'linear',
    // Our own kernel, outside the tensor cores.
    unit: 'f32',
    flops: 2 * node.multiplyAdds,
    executedFlops: 2 * node.multiplyAdds,
    fixedBytes: node.weightElements * elementBytes(type) + biases,
    sampleBytes: mapBytes(input(node, 0), type) + mapBytes(node.output, type),
  };
}

/** Input and output channels of a convolution as cuDNN sees them. */
export function paddedChannels(node: NativeNode, type: RooflineType): { inputs: number; outputs: number } {
  const isPlain = node.inputs[1] === null && node.inputs[2] === null;
  return {
    inputs: convolutionChannels(input(node, 0), type),
    outputs: isPlain ? convolutionChannels(node.output, type) : node.output.channels,
  };
}

function convolutionKernels(node: NativeNode, type: RooflineType): Kernel[] {
  const bytes = elementBytes(type);
  const { inputs, outputs } = paddedChannels(node, type);
  const { output } = node;
  const x = input(node, 0);
  const [, vector, residual] = node.inputs;
  const written = outputs * pixelsOf(output) * bytes;
  const added = residual === null ? 0 : mapBytes(residual, type);
  const product: Kernel = {
    name: node.name,
    kind: 'convolution',
    unit: type,
    flops: 2 * node.multiplyAdds,
    executedFlops: (2 * node.multiplyAdds * inputs * outputs) / (x.channels * output.channels),
    fixedBytes: inputs * outputs * node.kernel ** 2 * bytes + (node.bias ? outputs * floatBytes : 0),
    sampleBytes: inputs * pixelsOf(x) * bytes + written + (vector === null ? added : 0),
  };
  if (vector === null) return [product];
  // cuDNN's graph takes no channel vector: that and what follows it are one more pass over the result.
  return [product, moving(node.name, 'element-wise', 2 * written + added + mapBytes(vector, type))];
}

/** cuDNN's attention takes 16-bit heads of at most 256 channels; everything else has our own kernel. */
function attentionUnit(node: NativeNode, type: RooflineType): Unit {
  const width = node.output.channels / node.heads;
  const strides = [input(node, 0), input(node, 1), input(node, 2), node.output].map((map) => map.pixelStride);
  const isTaken = type === 'bf16' && width <= 256 && [width, ...strides].every((each) => each % 8 === 0);
  return isTaken ? 'bf16' : 'f32';
}

function attentionKernel(node: NativeNode, type: RooflineType): Kernel {
  const flops = 2 * node.multiplyAdds;
  const maps = [input(node, 0), input(node, 1), input(node, 2), node.output];
  return {
    name: node.name,
    kind: 'attention',
    unit: attentionUnit(node, type),
    flops,
    executedFlops: flops,
    fixedBytes: 0,
    sampleBytes: maps.reduce((sum, map) => sum + mapBytes(map, type), 0),
  };
}

function isAligned(map: NativeMap, type: RooflineType): boolean {
  const width = 16 / elementBytes(type);
  return [map.channels, map.pixelStride, map.firstChannel].every((each) => each % width === 0);
}

function normKernels(node: NativeNode, type: RooflineType): Kernel[] {
  const [x, y] = [input(node, 0), node.output];
  const shape = { pixels: pixelsOf(y), channels: y.channels, groups: node.groups };
  const map = mapBytes(y, type);
  const vectors = node.inputs.slice(1).reduce((sum, each) => sum + (each === null ? 0 : mapBytes(each, type)), 0);
  const parameters = 2 * y.channels * floatBytes;
  const passes = normPasses(shape, isAligned(x, type) && isAligned(y, type), type);
  if (passes !== 'chunks') {
    const reads = passes === 'wide' ? 3 : 1;
    return [moving(node.name, 'group norm', (reads + 1) * map + vectors, parameters)];
  }
  const statistics = 2 * node.groups * normChunks(shape.pixels) * floatBytes;
  return [
    moving(node.name, 'group norm', map + statistics),
    moving(node.name, 'group norm', 2 * map + statistics + vectors, parameters),
  ];
}

function elementwiseKernel(node: NativeNode, type: RooflineType): Kernel {
  const read = node.inputs.reduce((sum, each) => sum + (each === null ? 0 : mapBytes(each, type)), 0);
  const biases = node.op === 'bias' ? node.output.channels * floatBytes : 0;
  return moving(node.name, 'element-wise', read + mapBytes(node.output, type), biases);
}

function embeddingKernel(node: NativeNode, type: RooflineType): Kernel {
  const written = mapBytes(node.output, type);
  if (node.op === 'embedding') return moving(node.name, 'embedding', floatBytes + 2 * written);
  return moving(node.name, 'embedding', floatBytes + written, (node.output.channels / 2) * floatBytes);
}

/** The kernels of one node; an enlarged convolution has been divided before (see `cudaNodes`). */
export function kernelsOfNode(node: NativeNode, type: RooflineType): Kernel[] {
  switch (node.op) {
    case 'convolution':
      return isLinear(node) ? [linearKernel(node, type)] : convolutionKernels(node, type);
    case 'group_norm':
      return normKernels(node, type);
    case 'attention':
      return [attentionKernel(node, type)];
    case 'time_embedding':
    case 'embedding':
      return [embeddingKernel(node, type)];
    case 'upsample':
    case 'average_pool':
    case 'fir_upsample':
    case 'fir_downsample':
      return [moving(node.name, 'resample', mapBytes(input(node, 0), type) + mapBytes(node.output, type))];
    case 'concat':
      return [input(node, 0), input(node, 1)].map((part) =>
        moving(node.name, 'element-wise', 2 * mapBytes(part, type)),
      );
    case 'bias':
    case 'channel_add':
    case 'scale_shift':
    case 'silu':
    case 'activation':
    case 'add':
    case 'affine':
      return [elementwiseKernel(node, type)];
  }
}

/** The copies between float32 NCHW images and the network's maps: before it the image, after it every output. */
function borderKernels(nodes: readonly NativeNode[], type: RooflineType): { load: Kernel[]; store: Kernel[] } {
  const maps = new Map<number, NativeMap>();
  for (const node of nodes) {
    for (const map of [...node.inputs, node.output]) if (map !== null) maps.set(map.value, map);
  }
  const copies = (roles: readonly NativeMap['role'][], name: string): Kernel[] =>
    [...maps.values()]
      .filter(({ role }) => roles.includes(role))
      .map((map) => {
        const stored = storedPixelStride(map, type) * pixelsOf(map) * elementBytes(type);
        return moving(name, 'border', map.channels * pixelsOf(map) * floatBytes + stored);
      });
  return { load: copies(['image'], 'load image'), store: copies(['output', 'head'], 'store output') };
}

/** All kernels of one evaluation of `nodes`, as `cudaNodes` gives them. */
export function evaluationKernels(nodes: readonly NativeNode[], type: RooflineType): Kernel[] {
  const { load, store } = borderKernels(nodes, type);
  return [...load, ...nodes.flatMap((node) => kernelsOfNode(node, type)), ...store];
}

/** Of UpdateSample in cuda/kernels/update.h. */
const updateSampleBytes = 224;

/**
 * What a trajectory adds to every evaluation: the choice of the step's records and the fused update of a sampler that
 * reads x and the prediction and writes x, states of `elements` float32 numbers.
 */
export function stepKernels(elements: number): Kernel[] {
  return [
    moving('select step', 'update', 2 * updateSampleBytes + floatBytes),
    moving('update', 'update', 3 * elements * floatBytes + updateSampleBytes),
  ];
}
