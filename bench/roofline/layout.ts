// The layout of maps and the division of group norms on the CUDA device, as in cuda/layers and cuda/kernels.
import type { NativeMap } from '../../lib/engine/native-node.js';

/** Number format of the network; `tf32` is stored as float32. */
export type RooflineType = (typeof rooflineTypes)[number];

/** Every {@link RooflineType}. */
export const rooflineTypes = ['f32', 'tf32', 'bf16'] as const;

/** Bytes of one element of a map or a weight. */
export function elementBytes(type: RooflineType): number {
  return type === 'bf16' ? 2 : 4;
}

/** The bytes of one element of `map`: a network's prediction is float32 (cuda/layers/prediction.h). */
export function storedElementBytes(map: NativeMap, type: RooflineType): number {
  return map.role === 'output' || map.role === 'head' ? 4 : elementBytes(type);
}

/** Channels of a pixel as they are stored: external maps are padded to 16 bytes, 16-bit images have three terms. */
export function storedPixelStride(map: NativeMap, type: RooflineType): number {
  if (map.role === 'internal') return map.pixelStride;
  const terms = map.role === 'image' && type === 'bf16' ? 3 : 1;
  const quantum = 16 / storedElementBytes(map, type);
  return Math.ceil((terms * map.channels) / quantum) * quantum;
}

/** Channels that a convolution reads or writes: the padding of external maps, too. */
export function convolutionChannels(map: NativeMap, type: RooflineType): number {
  return map.role === 'internal' ? map.channels : storedPixelStride(map, type);
}

interface Layout {
  threads: number;
  rows: number;
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

interface NormShape {
  pixels: number;
  channels: number;
  groups: number;
}

/** Mirrors group_norm_layout of cuda/kernels/group_norm_layout.h; null where vectors of this width cannot be used. */
function normLayout(
  { pixels, channels, groups }: NormShape,
  width: number,
  bytes: number,
  pieceBytes: number,
  most: number,
): Layout | null {
  if (channels % width !== 0) return null;
  const ofGroup = channels / groups;
  const unit = width / greatestDivisor(ofGroup, width);
  const units = Math.floor((pieceBytes - 1) / (unit * ofGroup * bytes)) + 1;
  const columns = Math.floor((Math.min(groups, unit * units) * ofGroup) / width);
  const least = unit === 1 ? columns : columns * width;
  if (least > most) return null;
  const wanted = pixels > Math.floor(most / columns) ? most : Math.max(least, columns * pixels);
  const threads = Math.ceil(wanted / 32) * 32;
  return { threads, rows: Math.floor(threads / columns) };
}

/** Vectors that a thread of the one-kernel norm holds at most. */
const mostHeld = 12;

/**
 * The way in which group norm takes a map: in one kernel that holds it in registers, in one for statistics and one for the result,
 * or in one that reads wide groups three times.
 */
export function normPasses(shape: NormShape, isAligned: boolean, type: RooflineType): 'held' | 'chunks' | 'wide' {
  const bytes = elementBytes(type);
  for (const width of isAligned ? [16 / bytes, 1] : [1]) {
    const layout = normLayout(shape, width, bytes, 32, 512);
    if (layout !== null && Math.floor((shape.pixels - 1) / layout.rows) < mostHeld) return 'held';
    if (normLayout(shape, width, bytes, 128, 256) !== null) return 'chunks';
  }
  return 'wide';
}

/** Chunks of pixels whose statistics are computed one by one (GroupNormChunks). */
export function normChunks(pixels: number): number {
  const wanted = Math.min(64, Math.floor((pixels - 1) / 128) + 1);
  const ofChunk = Math.floor((pixels - 1) / wanted) + 1;
  return Math.floor((pixels - 1) / ofChunk) + 1;
}
