import type { UNetDescription } from '../network/description.js';

/**
 * Initial weights of a family's networks, by canonical names: weights are uniform within a bound, gains of norms 1 and their
 * offsets 0, rows of embeddings normal.
 */
export interface InitialRule {
  /**
   * Bound of a weight: `fan-in` is PyTorch's default, 1 / sqrt(inputs), for its bias, too; `glorot`
   * sqrt(6 / (inputs + outputs)), with biases of 0.
   */
  readonly bound: 'fan-in' | 'glorot';
  /** Factor of the bound of a layer, from the name of its weight or bias; 0: both are 0. */
  scale(name: string): number;
  /** Deviation of a weight that is normal, from its name, whose layer's bias is 0; null or absent: the weight is uniform. */
  readonly deviation?: (name: string) => number | null;
  /** True if rows of classes are uniform as a weight is, not normal. Default false. */
  readonly uniformRows?: boolean;
}

/** PyTorch's defaults for every layer. */
export const pytorchInitial: InitialRule = { bound: 'fan-in', scale: () => 1 };

/** What the authors of residual networks begin with nearly or exactly nothing: the last layers of blocks and of the network. */
const lastLayer = /\.conv2\.|\.to_out\.0\.|^(?:head\.)?conv_out\./;

/** Tells whether a weight or bias is of the last layer of a residual block, of an attention, of the network or of its head. */
export function isLastLayer(name: string): boolean {
  return lastLayer.test(name);
}

/** Lists the layers that add to the image on the way up, each the last one of its part. */
export function resultLayers(blocks: UNetDescription['blocks']): ReadonlySet<string> {
  return new Set(blocks.flatMap((block) => (block.kind === 'result-add' ? [block.name] : [])));
}

/** Gives the name of the layer that a weight or bias is of. */
export function layerOf(name: string): string {
  return name.slice(0, Math.max(0, name.lastIndexOf('.')));
}
