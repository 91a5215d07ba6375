import { wrongValue } from './checks.js';

/** Values of black and white in images as a network sees them. */
export type PixelRange = readonly [black: number, white: number];

/** Range of all networks except those that centre their input themselves. */
export const centredRange: PixelRange = [-1, 1];

/** Range of networks that centre their input themselves. */
export const unitRange: PixelRange = [0, 1];

export function isCentred([black, white]: PixelRange): boolean {
  return black === centredRange[0] && white === centredRange[1];
}

/** Converts a difference of 1 to grey levels. */
export function levelsPerUnit([black, white]: PixelRange): number {
  return 255 / (white - black);
}

/** Converts a grey level 0..255 to a value. */
export function valueOfLevel(level: number, range: PixelRange): number {
  return level / levelsPerUnit(range) + range[0];
}

/** Converts grey levels to values, however many: `Float32Array.from` ends the process beyond 134 million of them. */
export function valuesOfLevels(levels: Uint8Array | Uint8ClampedArray, range: PixelRange): Float32Array {
  const values = Float32Array.from({ length: 256 }, (_, level) => valueOfLevel(level, range));
  const out = new Float32Array(levels.length);
  for (let i = 0; i < levels.length; ++i) out[i] = values[levels[i] ?? 0] ?? 0;
  return out;
}

/** Checks a range. @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a value that is no interval. */
export function requireRange(name: string, range: unknown): void {
  const ends: readonly unknown[] = Array.isArray(range) ? range : [];
  const [black, white] = ends;
  const isInterval =
    ends.length === 2 &&
    typeof black === 'number' &&
    typeof white === 'number' &&
    black < white &&
    Number.isFinite(white - black);
  if (!isInterval) throw wrongValue(name, range, 'an interval, two rising numbers');
}
