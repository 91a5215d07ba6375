// A roofline: how long kernels take when each of them waits for its products or for its bytes, whichever is longer.
import type { NativeNode } from '../../lib/engine/native-node.js';
import type { Card } from './cards.js';
import { cudaNodes } from './fusion.js';
import { evaluationKernels, stepKernels } from './evaluation.js';
import { kernelKinds, type Kernel, type KernelKind } from './kernels.js';
import type { RooflineType } from './layout.js';

/** Sums over the kernels of one step (network evaluation and update) of a batch. */
export interface StepCost {
  /** The number of kernels. */
  launches: number;
  /** FLOP, two per multiply-add of the network. */
  flops: number;
  /** Bytes read and written, and the part of them that does not grow with the batch: the weights. */
  bytes: number;
  weightBytes: number;
}

/** The time of a step on a card. */
export interface StepTime {
  /** Sum over kernels of what each waits for longest. */
  seconds: number;
  /** Shares of `seconds` in kernels that wait for each of these. */
  limits: Record<Limit, number>;
  /** The share of `seconds` of every kind of kernel. */
  shares: Record<KernelKind, number>;
}

/** The kernels of one step of a trajectory of `batch` samples. */
export function kernelsOfStep(nodes: readonly NativeNode[], type: RooflineType, batch: number): Kernel[] {
  const lowered = cudaNodes(nodes);
  const [select, finish] = stepKernels(lowered, type);
  return [select!, ...evaluationKernels(lowered, type, batch), finish!];
}

/** Seconds that a node of a graph takes at least, from the start of one to that of the next; assumed. */
export const nodeSeconds = 2.5e-6;
/** Rows and columns of a tile of a product, one a multiprocessor at a time. */
const tileSide = 128;
/** Share of the rate of large products that a convolution reaches with all multiprocessors at work; assumed. */
const convolutionShare = 0.85;
const lanes = 32;

/** Share of the multiprocessors that a product keeps at work. */
export function occupancy({ tile }: Kernel, batch: number, { multiprocessors }: Card): number {
  if (tile === null) return 1;
  const tiles = Math.ceil((batch * tile.rows) / tileSide) * Math.ceil(tile.columns / tileSide);
  return tiles / (Math.ceil(tiles / multiprocessors) * multiprocessors);
}

/** Bytes that a kernel moves for a batch. */
export function kernelBytes(kernel: Kernel, batch: number): number {
  return kernel.fixedBytes + batch * kernel.sampleBytes;
}

/** The resource that a kernel waits for. */
export type Limit = 'bytes' | 'products' | 'instructions' | 'node';

/** Seconds that a kernel takes for a batch at a card's ceiling or at its data sheet, and what it waits for. */
export function kernelTime(
  kernel: Kernel,
  batch: number,
  card: Card,
  rates: 'ceiling' | 'sheet' = 'ceiling',
): { seconds: number; limit: Limit } {
  const of = card[rates];
  const share = rates === 'sheet' || kernel.kind !== 'convolution' ? 1 : convolutionShare;
  const products = (batch * kernel.executedFlops) / (of[kernel.unit] * share * occupancy(kernel, batch, card));
  const bytes = kernelBytes(kernel, batch) / of.bytes;
  const issued = (batch * kernel.elements * kernel.instructions) / lanes;
  const times: [Limit, number][] = [
    ['bytes', bytes],
    ['products', products],
    ['instructions', issued / (card.issue * card.multiprocessors)],
    ['node', nodeSeconds],
  ];
  const [limit, seconds] = times.reduce((most, each) => (each[1] > most[1] ? each : most));
  return { seconds, limit };
}

/** The sums over the kernels of a step. */
export function stepCost(kernels: readonly Kernel[], batch: number): StepCost {
  const sum = (of: (kernel: Kernel) => number): number => kernels.reduce((total, kernel) => total + of(kernel), 0);
  return {
    launches: kernels.length,
    flops: sum(({ flops }) => batch * flops),
    bytes: sum((kernel) => kernelBytes(kernel, batch)),
    weightBytes: sum(({ fixedBytes }) => fixedBytes),
  };
}

/** The time of the kernels of a step, one after the other. */
export function stepTime(
  kernels: readonly Kernel[],
  batch: number,
  card: Card,
  rates: 'ceiling' | 'sheet' = 'ceiling',
): StepTime {
  const shares = Object.fromEntries(kernelKinds.map((kind) => [kind, 0])) as Record<KernelKind, number>;
  let seconds = 0;
  const limits: Record<Limit, number> = { bytes: 0, products: 0, instructions: 0, node: 0 };
  for (const kernel of kernels) {
    const time = kernelTime(kernel, batch, card, rates);
    seconds += time.seconds;
    limits[time.limit] += time.seconds;
    shares[kernel.kind] += time.seconds;
  }
  for (const kind of kernelKinds) shares[kind] /= seconds;
  for (const limit of Object.keys(limits) as Limit[]) limits[limit] /= seconds;
  return { seconds, limits, shares };
}
