import { readExactly, shownPath, withFile, type FilePath } from '../files/files.js';
import type { JpegCodec } from './jpeg/codec.js';
import { isJpeg } from './jpeg/frame.js';
import { readJpegBytes, shapeOfJpegBytes } from './jpeg/read-jpeg.js';
import { wrongPicture } from './picture-fit.js';
import { isPng, readPngBytes, shapeOfPngBytes } from './read-png.js';

/** Shape of one picture. */
export type PictureShape = readonly [channels: number, height: number, width: number];

/** A picture that is read when it is its turn. */
export interface Picture {
  /** Name in errors. */
  readonly name: string;
  /** Class; null without classes. */
  readonly label: number | null;
  /** Reads the shape [C, H, W]. */
  shape(): Promise<PictureShape>;
  /** Reads levels 0..255 as [C, H, W] of a shape that has the picture's sides. */
  levels(shape: PictureShape): Promise<Float32Array>;
}

/** Maximum number of bytes of a file, which is in memory while it is read. */
const MOST_BYTES = 2 ** 28;

/**
 * Reads the bytes of a picture.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` naming a file that has more than 256 MiB.
 */
export async function readPictureFile(given: FilePath): Promise<Uint8Array> {
  const path = shownPath(given);
  return withFile(given, async (file, size) => {
    if (size > MOST_BYTES) throw wrongPicture(path, `${size} bytes are more than a picture may have`);
    return readExactly(file, path, 0, size);
  });
}

/**
 * Gives a picture of encoded bytes. The first of them tell the format, as PIL has it: data sets have files of PNG whose names
 * are those of JPEG.
 *
 * @param read - Reads the bytes, for the shape and once more for the levels.
 * @param codec - Decodes JPEG; pictures that are read one after the other can have the same one.
 */
export function encodedPicture(
  name: string,
  label: number | null,
  read: () => Promise<Uint8Array>,
  codec: JpegCodec,
): Picture {
  const known = async (): Promise<{ bytes: Uint8Array; jpeg: boolean }> => {
    const bytes = await read();
    const jpeg = isJpeg(bytes);
    if (!jpeg && !isPng(bytes)) throw wrongPicture(name, 'this is neither PNG nor JPEG');
    return { bytes, jpeg };
  };
  return {
    name,
    label,
    shape: async () => {
      const { bytes, jpeg } = await known();
      return jpeg ? shapeOfJpegBytes(name, bytes) : shapeOfPngBytes(name, bytes);
    },
    levels: async (shape) => {
      const { bytes, jpeg } = await known();
      return jpeg ? readJpegBytes(name, bytes, shape, codec) : readPngBytes(name, bytes, shape);
    },
  };
}
