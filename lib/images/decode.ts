import { kinds, type OptionKinds } from '../base/option-kinds.js';
import { centredRange, unitRange, valueOfLevel } from '../base/pixel-range.js';
import { encodedPicture, type Picture, type PictureShape } from './encoded-picture.js';
import { JpegCodec } from './jpeg/codec.js';
import type { ImageShape } from './layout.js';
import type { ImagesTaken } from './load.js';
import { wrongPicture } from './picture-fit.js';
import { isPng, transparencyOfPngBytes } from './read-png.js';

/** Name of pictures in memory, in errors. */
const NAME = 'the picture';

/** Options of decoding a picture. */
export interface DecodeOptions {
  /** Most pixels that it may have, as small files may have many. Default 2^26. */
  mostPixels?: number | undefined;
}

/** @internal */
export const decodeKinds: OptionKinds<DecodeOptions> = { mostPixels: kinds.positiveInteger };

const MOST_PIXELS = 2 ** 26;

/** Reads the shape of a picture. @throws {@link DpmError} `ERR_DPM_FILE` if it has more pixels than it may have. */
async function shapeOf(picture: Picture, { mostPixels = MOST_PIXELS }: DecodeOptions): Promise<PictureShape> {
  const shape = await picture.shape();
  const [, height, width] = shape;
  if (height * width <= mostPixels) return shape;
  throw wrongPicture(NAME, `it has ${width} x ${height} pixels, at most ${mostPixels} are read`);
}

/** An image in model space. */
export interface DecodedImage {
  readonly shape: ImageShape;
  readonly values: Float32Array;
}

function pictureOf(bytes: Uint8Array): Picture {
  return encodedPicture(NAME, null, () => Promise.resolve(bytes), new JpegCodec());
}

/** Decodes a PNG or JPEG. @throws {@link DpmError} `ERR_DPM_FILE`, `ERR_DPM_TENSOR_SHAPE`. */
export async function decodedImage(
  bytes: Uint8Array,
  { sampleShape, range = centredRange, ...options }: ImagesTaken & DecodeOptions,
): Promise<DecodedImage> {
  const picture = pictureOf(bytes);
  const [channels, height, width] = await shapeOf(picture, options);
  const [c = channels, h = height, w = width] = sampleShape ?? [];
  const levels = await picture.levels([c, h, w]);
  return { shape: [1, c, h, w], values: levels.map((level) => valueOfLevel(level, range)) };
}

/** Decodes a mask: what is transparent, of a PNG with transparency; else what is white. */
export async function decodedMask(bytes: Uint8Array, options: DecodeOptions): Promise<DecodedImage> {
  const [, height, width] = await shapeOf(pictureOf(bytes), options);
  const transparent = isPng(bytes) ? transparencyOfPngBytes(NAME, bytes, [height, width]) : null;
  if (transparent !== null) {
    return { shape: [1, 1, height, width], values: transparent.map((level) => level / 255) };
  }
  const { values, shape } = await decodedImage(bytes, { ...options, range: unitRange });
  const [, channels] = shape;
  const pixels = height * width;
  // The first channel of grey is all there is; of colours white has all of them.
  const grey = Float32Array.from({ length: pixels }, (_, i) => {
    const each = Array.from({ length: channels }, (__, channel) => values[channel * pixels + i] ?? 0);
    return Math.min(...each);
  });
  return { shape: [1, 1, height, width], values: grey };
}
