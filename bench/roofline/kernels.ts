// The kernels that the CUDA device with cuDNN launches for a graph, their FLOPs and bytes.
import type { NativeMap, NativeNode } from '../../lib/engine/native-node.js';
import type { Unit } from './cards.js';
import type { CudaNode } from './fusion.js';
import { convolutionChannels, elementBytes, normChunks, normPasses, type RooflineType } from './layout.js';

/** The parts of a step that have sums of their own. */
export const kernelKinds = [
  'convolution',
  'attention',
  'linear',
  'group norm',
  'element-wise',
  'resample',
  'embedding',
  'update',
] as const;
export type KernelKind = (typeof kernelKinds)[number];

/** A launch of a kernel. */
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
  /** Elements a sample that pass through the instructions, and how many of these each takes. */
  elements: number;
  instructions: number;
  /** The work that is divided into tiles, each for a multiprocessor; null where the kernel divides its work otherwise. */
  tile: Tile | null;
}

/** Rows a sample, and columns, of a product. */
export interface Tile {
  rows: number;
  columns: number;
  depth: number;
}

/** Instructions an element of our own kernels, from their machine code for compute capability 9 (scripts/check-cuda). */
const instructionsOf = { 'group norm': 36, completion: 10, 'element-wise': 12 } as const;

/** The bytes of a float32. */
export const floatBytes = 4;

/** Pixels of a map. */
export function pixelsOf(map: NativeMap): number {
  return map.height * map.width;
}

/** Bytes a sample of a map inside the network. */
export function mapBytes(map: NativeMap, type: RooflineType): number {
  return map.channels * pixelsOf(map) * elementBytes(type);
}

/** A kernel that only moves numbers. */
export function moving(name: string, kind: KernelKind, sampleBytes: number, fixedBytes = 0): Kernel {
  const nothing = { flops: 0, executedFlops: 0, elements: 0, instructions: 0, tile: null };
  return { name, kind, unit: 'f32', ...nothing, fixedBytes, sampleBytes };
}

function input(node: NativeNode, index: 0 | 1 | 2): NativeMap {
  const map = node.inputs[index];
  if (map === null) throw new Error(`${node.name} has no input ${index}`);
  return map;
}

/** Tells whether it is a product of vectors, which has a kernel of its own (is_product_of_vectors in cuda/layers/layer.cc). */
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

/** Output channels that the kernel of predictions takes at most, and input channels of an access (cuda/kernels/prediction.h). */
const mostPredicted = 8;
const predictionAccess = 8;

/** Tells whether it is the last convolution, which has a kernel of its own in 16 bits (is_prediction in cuda/layers/prediction.cc). */
export function isPrediction(node: NativeNode, type: RooflineType): boolean {
  const [x, vector, residual] = node.inputs;
  return (
    type === 'bf16' &&
    node.op === 'convolution' &&
    (node.output.role === 'output' || node.output.role === 'head') &&
    x?.role === 'internal' &&
    [x.channels, x.firstChannel, x.pixelStride].every((each) => each % predictionAccess === 0) &&
    vector === null &&
    residual === null &&
    node.scale === 1 &&
    !node.silu &&
    node.output.channels <= mostPredicted
  );
}

function predictionKernel(node: NativeNode, type: RooflineType): Kernel {
  const { output } = node;
  const x = input(node, 0);
  const biases = node.bias ? output.channels * floatBytes : 0;
  return {
    name: node.name,
    kind: 'convolution',
    unit: type,
    flops: 2 * node.multiplyAdds,
    executedFlops: (2 * node.multiplyAdds * mostPredicted) / output.channels,
    fixedBytes: node.weightElements * elementBytes(type) + biases,
    sampleBytes: mapBytes(x, type) + output.channels * pixelsOf(output) * floatBytes,
    elements: 0,
    instructions: 0,
    // Its blocks divide the depth, too.
    tile: null,
  };
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
    elements: 0,
    instructions: 0,
    tile: null,
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

/** The pass that follows a convolution, as in cuda/layers/convolution.cc, as the plans that the rule chooses join nothing. */
function restOfConvolution(node: CudaNode, outputs: number, type: RooflineType): Kernel[] {
  const [, vector, residual] = node.inputs;
  const { output } = node;
  const isPacked = output.role === 'internal' && output.pixelStride !== output.channels;
  const hasBias = node.bias && !node.biasInNorm;
  if (!hasBias && vector === null && residual === null && node.scale === 1 && !node.silu && !isPacked) return [];
  const written = outputs * pixelsOf(output) * elementBytes(type);
  const added = [vector, residual].reduce((sum, map) => sum + (map === null ? 0 : mapBytes(map, type)), 0);
  const pass = moving(node.name, 'element-wise', 2 * written + added, hasBias ? outputs * floatBytes : 0);
  return [{ ...pass, elements: outputs * pixelsOf(output), instructions: instructionsOf['element-wise'] }];
}

/** Output pixels that the convolution of small maps takes at most, and channels of a group (cuda/kernels/small_convolution.h). */
const mostSmallPixels = 1024;
const widestSmallGroup = 128;

/** Mirrors takes_small_convolution, with the norm before it or without. */
export function isSmall(node: NativeNode, norm: NativeNode | null, type: RooflineType, batch: number): boolean {
  const { inputs, outputs } = paddedChannels(node, type);
  const fitsGroup = norm === null || inputs / norm.groups <= widestSmallGroup;
  return (
    type === 'bf16' &&
    (node.kernel === 1 || node.kernel === 3) &&
    batch * pixelsOf(node.output) <= mostSmallPixels &&
    inputs % 8 === 0 &&
    outputs % 4 === 0 &&
    fitsGroup
  );
}

/** Norm, convolution and what follows it in one kernel. */
export function smallConvolution(node: CudaNode, norm: NativeNode | null, type: RooflineType): Kernel {
  const product = productOf(node, type);
  const added = node.inputs.slice(1).reduce((sum, map) => sum + (map === null ? 0 : mapBytes(map, type)), 0);
  const parameters = norm === null ? 0 : 2 * product.tile.depth * floatBytes;
  return {
    ...product,
    // Its blocks divide the depth, too.
    tile: null,
    fixedBytes: product.fixedBytes + parameters + (node.bias ? product.tile.columns * floatBytes : 0),
    sampleBytes: product.sampleBytes + added,
  };
}

function productOf(node: NativeNode, type: RooflineType): Kernel & { tile: Tile } {
  const bytes = elementBytes(type);
  const { inputs, outputs } = paddedChannels(node, type);
  const { output } = node;
  const x = input(node, 0);
  return {
    name: node.name,
    kind: 'convolution',
    unit: type,
    flops: 2 * node.multiplyAdds,
    executedFlops: (2 * node.multiplyAdds * inputs * outputs) / (x.channels * output.channels),
    fixedBytes: inputs * outputs * node.kernel ** 2 * bytes,
    sampleBytes: inputs * pixelsOf(x) * bytes + outputs * pixelsOf(output) * bytes,
    elements: 0,
    instructions: 0,
    tile: { rows: pixelsOf(output), columns: outputs, depth: inputs },
  };
}

function convolutionKernels(node: CudaNode, type: RooflineType): Kernel[] {
  const product = productOf(node, type);
  return [product, ...restOfConvolution(node, product.tile.columns, type)];
}

/**
 * In 16 bits cuDNN takes heads of at most 256 channels, and our tensor-core kernel those up to 512. Another kernel of ours takes the
 * rest.
 */
function attentionUnit(node: NativeNode, type: RooflineType): Unit {
  const width = node.output.channels / node.heads;
  const strides = [input(node, 0), input(node, 1), input(node, 2), node.output].map((map) => map.pixelStride);
  const isTaken = type === 'bf16' && width <= 512 && [width, ...strides].every((each) => each % 8 === 0);
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
    elements: 0,
    instructions: 0,
    // Queries by heads, sixteen by one a block or so.
    tile: { rows: 8 * maps[3]!.height * maps[3]!.width * node.heads, columns: 128, depth: node.output.channels },
  };
}

function isAligned(map: NativeMap, type: RooflineType): boolean {
  const width = 16 / elementBytes(type);
  return [map.channels, map.pixelStride, map.firstChannel].every((each) => each % width === 0);
}

function normKernels(node: NativeNode, type: RooflineType): Kernel[] {
  const elements = node.output.channels * pixelsOf(node.output);
  return normPassesOf(node, type).map((kernel) => ({
    ...kernel,
    elements,
    instructions: instructionsOf['group norm'],
  }));
}

/** The norm with what the convolution right before it has left: it reads the residual, too, and writes the sum. */
export function completingNorm(rest: Kernel, norm: NativeNode, type: RooflineType): Kernel {
  const [plain] = normKernels(norm, type);
  const map = mapBytes(norm.output, type);
  return {
    ...plain!,
    // The pass reads and writes the sum; the norm no longer reads it.
    sampleBytes: plain!.sampleBytes + rest.sampleBytes - map,
    fixedBytes: plain!.fixedBytes + rest.fixedBytes,
    instructions: plain!.instructions + instructionsOf.completion,
  };
}

/**
 * Whether `norm` finishes what `node` leaves (Executable::left_to): it comes right after it, where no shortcut is put between
 * them, holds the map in registers and adds nothing for its statistics alone.
 */
export function completes(
  norm: NativeNode | undefined,
  node: CudaNode,
  nodes: readonly CudaNode[],
  type: RooflineType,
): boolean {
  if (norm?.op !== 'group_norm' || norm.inputs[0]?.value !== node.output.value || norm.inputs[2] !== null) return false;
  const hasShortcut = nodes.some(({ op, inputs }) => op === 'convolution' && inputs[0]?.value === node.output.value);
  const maps = [input(norm, 0), norm.output, ...(node.inputs[2] === null ? [] : [node.inputs[2]])];
  return (
    !hasShortcut &&
    !node.silu &&
    !node.biasInNorm &&
    maps.every((map) => isAligned(map, type)) &&
    normPasses(normShape(norm), true, type) === 'held'
  );
}

function normShape({ output, groups }: NativeNode): { pixels: number; channels: number; groups: number } {
  return { pixels: pixelsOf(output), channels: output.channels, groups };
}

function normPassesOf(node: NativeNode, type: RooflineType): Kernel[] {
  const [x, y] = [input(node, 0), node.output];
  const map = mapBytes(y, type);
  const vectors = node.inputs.slice(1).reduce((sum, each) => sum + (each === null ? 0 : mapBytes(each, type)), 0);
  const parameters = 2 * y.channels * floatBytes;
  const passes = normPasses(normShape(node), isAligned(x, type) && isAligned(y, type), type);
  if (passes !== 'chunks') {
    const reads = passes === 'wide' ? 3 : 1;
    return [moving(node.name, 'group norm', (reads + 1) * map + vectors, parameters)];
  }
  const statistics = 2 * node.groups * normChunks(pixelsOf(y)) * floatBytes;
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
export function kernelsOfNode(node: CudaNode, type: RooflineType): Kernel[] {
  switch (node.op) {
    case 'convolution':
      if (isPrediction(node, type)) return [predictionKernel(node, type)];
      return isLinear(node) ? [linearKernel(node, type)] : convolutionKernels(node, type);
    case 'group_norm':
      return normKernels(node, type);
    case 'layer_norm':
      return [
        moving(node.name, 'element-wise', 2 * mapBytes(node.output, type), 2 * node.output.channels * floatBytes),
      ];
    case 'attention':
      return [attentionKernel(node, type)];
    case 'time_embedding':
    case 'embedding':
      return [embeddingKernel(node, type)];
    case 'upsample':
    case 'average_pool':
    case 'fir_upsample':
    case 'fir_downsample':
    case 'view':
    case 'separable':
      return [moving(node.name, 'resample', mapBytes(input(node, 0), type) + mapBytes(node.output, type))];
    case 'concat':
      return [input(node, 0), input(node, 1)].map((part) =>
        moving(node.name, 'element-wise', 2 * mapBytes(part, type)),
      );
    case 'bias':
    case 'position':
    case 'channel_add':
    case 'scale_shift':
    case 'silu':
    case 'activation':
    case 'add':
    case 'affine':
    case 'dropout':
    case 'geglu':
      return [elementwiseKernel(node, type)];
  }
}
