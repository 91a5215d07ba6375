import { pictureOptionFacts, shownScale } from '../images/picture-options.js';
import { imageFileKind } from '../images/save.js';
import { specOf, type OptionSpec } from './command.js';
import type { OptionValues } from './option-values.js';
import { standardOutput } from './target.js';
import { usageError } from './usage-error.js';

/** The option `--scale` of commands that draw. */
export const scaleSpec: OptionSpec = specOf({
  ...pictureOptionFacts.scale,
  otherwise: 'in a .png what makes small images about 128 pixels large, else 1',
});

/** Reads `--scale`. @throws {@link DpmError} `ERR_DPM_USAGE` for a wrong one, and for files that are no pictures. */
export function askedScale(options: OptionValues, out: string): number | undefined {
  const asked = options.integer('scale', pictureOptionFacts.scale);
  if (asked === undefined || out === standardOutput || imageFileKind(out) !== 'safetensors') return asked;
  throw usageError('--scale is for pictures');
}

/** Sides of grids in pixels up to which images are enlarged. */
const MOST_PIXELS = 4096;

/**
 * Chooses the scale: pictures that people look at show small images enlarged, folders hold them as they are.
 *
 * @param shape - Of the images beside each other, [N, C, H, W].
 */
export function scaleFor(options: OptionValues, out: string, shape: readonly number[]): number | undefined {
  const asked = askedScale(options, out);
  if (asked !== undefined || (out !== standardOutput && imageFileKind(out) !== 'png')) return asked;
  const [count = 1, , height = 1, width = 1] = shape;
  const side = Math.ceil(Math.sqrt(count)) * Math.max(height, width);
  return Math.max(1, Math.min(shownScale(height, width), Math.floor(MOST_PIXELS / side)));
}
