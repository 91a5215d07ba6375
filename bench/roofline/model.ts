// A roofline: how long kernels take when each of them waits for its products or for its bytes, whichever is longer.
import type { NativeNode } from '../../lib/engine/binding.js';
import type { Rates } from './cards.js';
import { cudaNodes } from './fusion.js';
import { evaluationKernels, kernelKinds, stepKernels, type Kernel, type KernelKind } from './kernels.js';
import type { RooflineType } from './layout.js';

/** Sums over the kernels of one step (network evaluation and update) of a batch. */
export interface StepCost {
  /** Kernels. */
  launches: number;
  /** FLOP, two per multiply-add of the network. */
  flops: number;
  /** Bytes read and written, and those of them that do not grow with the batch: the weights. */
  bytes: number;
  weightBytes: number;
}

/** The time of a step on a card. */
export interface StepTime {
  /** Sum over kernels of the longer of products and bytes. */
  seconds: number;
  /** Share of `seconds` in kernels that wait for bytes. */
  memoryBound: number;
  /** Share of `seconds` of every kind of kernel. */
  shares: Record<KernelKind, number>;
}

/** The kernels of one step of a trajectory; elements of a state follow from the graph's image. */
export function kernelsOfStep(nodes: readonly NativeNode[], type: RooflineType): Kernel[] {
  const lowered = cudaNodes(nodes);
  const image = lowered.flatMap(({ inputs }) => inputs).find((map) => map?.role === 'image') ?? null;
  const elements = image === null ? 0 : image.channels * image.height * image.width;
  return [...evaluationKernels(lowered, type), ...stepKernels(elements)];
}

/** Bytes that a kernel moves for a batch. */
export function kernelBytes(kernel: Kernel, batch: number): number {
  return kernel.fixedBytes + batch * kernel.sampleBytes;
}

/** Seconds that a kernel takes for a batch, and whether it waits for its bytes. */
export function kernelTime(kernel: Kernel, batch: number, rates: Rates): { seconds: number; waitsForBytes: boolean } {
  const products = (batch * kernel.executedFlops) / rates[kernel.unit];
  const bytes = kernelBytes(kernel, batch) / rates.bytes;
  return { seconds: Math.max(products, bytes), waitsForBytes: bytes >= products };
}

/** What the kernels of a step add up to. */
export function stepCost(kernels: readonly Kernel[], batch: number): StepCost {
  const sum = (of: (kernel: Kernel) => number): number => kernels.reduce((total, kernel) => total + of(kernel), 0);
  return {
    launches: kernels.length,
    flops: sum(({ flops }) => batch * flops),
    bytes: sum((kernel) => kernelBytes(kernel, batch)),
    weightBytes: sum(({ fixedBytes }) => fixedBytes),
  };
}

/** How long the kernels of a step take one after the other. */
export function stepTime(kernels: readonly Kernel[], batch: number, rates: Rates): StepTime {
  const shares = Object.fromEntries(kernelKinds.map((kind) => [kind, 0])) as Record<KernelKind, number>;
  let seconds = 0;
  let waiting = 0;
  for (const kernel of kernels) {
    const time = kernelTime(kernel, batch, rates);
    seconds += time.seconds;
    if (time.waitsForBytes) waiting += time.seconds;
    shares[kernel.kind] += time.seconds;
  }
  for (const kind of kernelKinds) shares[kind] /= seconds;
  return { seconds, memoryBound: waiting / seconds, shares };
}

const largestBatch = 1024;

/** The smallest batch whose step fulfils `condition`; null where none up to 1024 does. */
export function firstBatch(
  kernels: readonly Kernel[],
  rates: Rates,
  condition: (time: StepTime) => boolean,
): number | null {
  for (let batch = 1; batch <= largestBatch; ++batch) {
    if (condition(stepTime(kernels, batch, rates))) return batch;
  }
  return null;
}

/** The smallest batch at which less than half of the time is spent waiting for bytes. */
export function computeBoundBatch(kernels: readonly Kernel[], rates: Rates): number | null {
  return firstBatch(kernels, rates, ({ memoryBound }) => memoryBound < 0.5);
}
