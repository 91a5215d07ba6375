import { encode } from 'fast-png';

import { DpmError } from '../base/errors.js';
import { interleaved, type ImageShape } from './layout.js';

/**
 * Refuses what a PNG cannot hold.
 *
 * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for other images than grey and RGB.
 */
export function requirePngChannels([, channels]: ImageShape): void {
  if (channels === 1 || channels === 3) return;
  throw new DpmError(
    'ERR_DPM_UNSUPPORTED',
    `a PNG holds 1 or 3 channels, the images have ${channels}; write a .safetensors file`,
  );
}

/** Levels of one image, [1, C, H, W], as a PNG. */
export function encodePng(levels: Uint8Array, shape: ImageShape): Uint8Array {
  requirePngChannels(shape);
  const [, channels, height, width] = shape;
  return encode({ width, height, channels, depth: 8, data: interleaved(levels, shape) });
}
