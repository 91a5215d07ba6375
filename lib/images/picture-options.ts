import { kindsOf, standardsOf, type OptionFacts } from '../base/option-facts.js';
import { integerBetween, integerFrom, kinds, type OptionKinds, withSchema } from '../base/option-kinds.js';
import { pngTextsKind, type PngTexts } from './png-text.js';

/** Options of images beside each other. */
export interface GridOptions {
  /** Number of images in a row. Default: the number for an about square grid. */
  columns?: number | undefined;
  /** Number of pixels between two images. Default 2. */
  gap?: number | undefined;
}

/** Options of a picture made of images. */
export interface PictureOptions extends GridOptions {
  /** Number of pixels of the picture for one of an image, along each side, at most 64. Default 1. */
  scale?: number | undefined;
  /** Texts below the images, of digits, signs and Latin letters; images without a text have none. */
  labels?: readonly (string | number)[] | undefined;
  /** Texts beside the pixels of each PNG, by their keywords, such as `parameters` or `Author`; other files have none. */
  texts?: PngTexts | undefined;
}

const gridOptionFacts = {
  columns: {
    kind: kinds.positiveInteger,
    help: 'images in a row',
    otherwise: 'as many as make an about square grid',
    value: 'C',
  },
  gap: { kind: integerFrom(0), help: 'pixels between two images', standard: 2, value: 'N' },
} as const satisfies OptionFacts<GridOptions>;

/** Facts about each option of {@link PictureOptions}. */
export const pictureOptionFacts = {
  ...gridOptionFacts,
  scale: {
    kind: integerBetween(1, 64),
    help: 'pixels of a picture for one of an image, along each side',
    standard: 1,
    value: 'N',
  },
  labels: {
    kind: withSchema(
      { ...kinds.numbers, expected: 'an array of texts or numbers' },
      { type: 'array', items: { type: ['string', 'number'] } },
    ),
    help: 'texts below the images',
    otherwise: 'none',
  },
  texts: { kind: pngTextsKind, help: 'texts beside the pixels of each PNG, by their keywords', otherwise: 'none' },
} as const satisfies OptionFacts<PictureOptions>;

/** Kind of each option of {@link GridOptions}. */
export const gridOptionKinds: OptionKinds<GridOptions> = kindsOf<GridOptions>(gridOptionFacts);

/** Kind of each option of {@link PictureOptions}. */
export const pictureOptionKinds: OptionKinds<PictureOptions> = kindsOf<PictureOptions>(pictureOptionFacts);

/** Defaults of {@link PictureOptions}. */
export const pictureDefaults = standardsOf(pictureOptionFacts);

/** Sides of images in pixels up to which pictures for people enlarge them. */
const SHOWN_SIDE = 128;

/** Chooses the scale of pictures that people look at: small images are enlarged until they are 65 pixels wide or more. */
export function shownScale(height: number, width: number): number {
  return Math.max(1, Math.floor(SHOWN_SIDE / Math.max(height, width)));
}
