import { at } from '../../base/arrays.js';
import { requireMemory } from '../../base/memory-budget.js';
import { requireColours, requireSides } from '../picture-fit.js';
import type { JpegCodec } from './codec.js';
import { frameOfJpeg } from './frame.js';

/** Bytes of a pixel while it is decoded, beside levels: RGBA twice and, of a progressive JPEG, three coefficients of 16 bits. */
const BYTES_OF_PIXEL = 14;

/**
 * Reads the shape [C, H, W] of a JPEG in memory: 1 channel of grey, 3 of colours.
 *
 * @param path - Name in errors.
 * @throws {@link DpmError} The errors of {@link frameOfJpeg}.
 */
export function shapeOfJpegBytes(path: string, bytes: Uint8Array): [channels: number, height: number, width: number] {
  const { channels, height, width } = frameOfJpeg(path, bytes);
  return [channels, height, width];
}

/**
 * Reads levels 0..255 of a JPEG in memory, [C, H, W], as they are stored: its orientation in EXIF is not looked at.
 *
 * @param path - Name in errors.
 * @throws {@link DpmError} The errors of {@link frameOfJpeg}; `ERR_DPM_FILE` naming the file if it is damaged,
 * `ERR_DPM_TENSOR_SHAPE` if it has other sides, or is RGB and the shape is not, `ERR_DPM_OUT_OF_MEMORY`.
 */
export async function readJpegBytes(
  path: string,
  bytes: Uint8Array,
  [wanted = 0, wantedHeight = 0, wantedWidth = 0]: readonly number[],
  codec: JpegCodec,
): Promise<Float32Array> {
  const { channels, height, width } = frameOfJpeg(path, bytes);
  requireSides(path, [height, width], [wantedHeight, wantedWidth]);
  requireColours(path, channels, wanted);
  const pixels = height * width;
  requireMemory(path, pixels, BYTES_OF_PIXEL + wanted * Float32Array.BYTES_PER_ELEMENT);
  const rgba = await codec.decode(path, bytes);
  const levels = new Float32Array(wanted * pixels);
  for (let channel = 0; channel < wanted; ++channel) {
    // The three colours of a grey JPEG are the same.
    const from = channels === 1 ? 0 : channel;
    for (let i = 0; i < pixels; ++i) levels[channel * pixels + i] = at(rgba, 4 * i + from);
  }
  return levels;
}
