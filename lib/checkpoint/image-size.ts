import { wrongValue } from '../base/checks.js';
import type { DpmError } from '../base/errors.js';
import type { Block, UNetDescription } from '../network/description.js';

/** Sides of an image in pixels: that of a square, or height and width. */
export type ImageSize = number | readonly [height: number, width: number];

/** Range of a side in a configuration. */
export const sideRange = { least: 1, most: 16_384 };

function refuse(size: ImageSize, expected: string): DpmError {
  return wrongValue('imageSize', size, expected);
}

/**
 * Gives height and width.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if they are no sizes.
 */
export function sidesOf(size: ImageSize): { height: number; width: number } {
  // Values of plain JavaScript may be anything.
  const given: unknown = size;
  const sides: readonly unknown[] = Array.isArray(given) ? given : [given, given];
  const isSide = (side: unknown): side is number =>
    Number.isInteger(side) && Number(side) >= sideRange.least && Number(side) <= sideRange.most;
  const [height, width] = sides;
  if (sides.length !== 2 || !isSide(height) || !isSide(width)) {
    throw refuse(size, `one side or [height, width], integers from ${sideRange.least} to ${sideRange.most}`);
  }
  return { height, width };
}

/** Tells whether a block makes the map half as large. */
function halves(block: Block): boolean {
  if (block.kind === 'downsample') return true;
  const method = block.kind === 'residual' ? block.resample : block.kind === 'resample' ? block.method : 'none';
  return method === 'mean' || method === 'fir-down';
}

/**
 * Changes the network to images of another size, on which its weights do not depend; without one it stays as it is.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if the sides cannot be halved as often as the network does.
 */
export function resized(unet: UNetDescription, size: ImageSize | undefined): UNetDescription {
  if (size === undefined) return unet;
  const sides = sidesOf(size);
  const halvings = unet.blocks.filter(halves).length;
  const factor = 2 ** halvings;
  if (sides.height % factor !== 0 || sides.width % factor !== 0) {
    throw refuse(size, `divisible by ${factor}: the network halves its maps ${halvings} times`);
  }
  return { ...unet, ...sides };
}
