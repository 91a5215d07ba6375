import { throwIfAborted } from '../../base/abort.js';
import { at, elementCount } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import { requireMemory } from '../../base/memory-budget.js';
import { shownPath } from '../../files/files.js';
import { JpegCodec } from '../../images/jpeg/codec.js';
import { encodedPicture, readPictureFile, type Picture, type PictureShape } from '../../images/encoded-picture.js';
import type { DataImages } from './images-in-memory.js';
import type { OpenImagesOptions } from './options.js';
import type { PictureFolder } from './picture-folder.js';
import { nearestLevel, resizedImage } from './resize.js';

/** Pictures one after the other. */
export interface Pictures {
  readonly count: number;
  [Symbol.asyncIterator](): AsyncIterator<Picture>;
}

/** Reads levels of a shape; tells what can be done with a picture that has another size. */
async function levelsOfSize(picture: Picture, shape: PictureShape): Promise<Float32Array> {
  try {
    return await picture.levels(shape);
  } catch (error) {
    if (!(error instanceof DpmError) || error.code !== 'ERR_DPM_TENSOR_SHAPE') throw error;
    const [, height, width] = await picture.shape();
    if (height === shape[1] && width === shape[2]) throw error;
    throw new DpmError(error.code, `${error.message}; resize (--resize) makes all pictures one size`, { cause: error });
  }
}

/** Reads a picture as levels, of another size if it may be resized. */
async function levelsOf(picture: Picture, shape: PictureShape, resize: boolean): Promise<Float32Array> {
  if (!resize) return levelsOfSize(picture, shape);
  const [, height, width] = await picture.shape();
  const [channels, toHeight, toWidth] = shape;
  requireMemory(picture.name, channels * height * width, Float32Array.BYTES_PER_ELEMENT);
  const levels = await picture.levels([channels, height, width]);
  if (height === toHeight && width === toWidth) return levels;
  return resizedImage(levels, [channels, height, width], [toHeight, toWidth]);
}

/** Tells whether an error says that a file is damaged, and not that it is of the wrong kind. */
function isBroken(error: unknown): boolean {
  return error instanceof DpmError && (error.code === 'ERR_DPM_FILE' || error.code === 'ERR_DPM_FILE_TRUNCATED');
}

/** Work that leaves out broken pictures if they may be. */
class Skipping {
  broken = 0;

  constructor(private readonly allowed: boolean) {}

  async tried(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!isBroken(error)) throw error;
      if (!this.allowed) {
        const { code, message } = error as DpmError;
        throw new DpmError(code, `${message} (leave such pictures out by skipBroken, --skip-broken)`, { cause: error });
      }
      ++this.broken;
    }
  }
}

/** Images that are filled one after the other; the first picture that can be read says their shape, if nothing else does. */
class ImageStore {
  #images = new Uint8Array();
  readonly #labels: number[] = [];
  #shape: PictureShape | null = null;
  #kept = 0;

  constructor(
    private readonly count: number,
    shape: PictureShape | undefined,
  ) {
    if (shape !== undefined) this.#allocate(shape);
  }

  async add(picture: Picture, resize: boolean): Promise<void> {
    const shape = this.#shape ?? this.#allocate(await picture.shape());
    const levels = await levelsOf(picture, shape, resize);
    this.#images.set(levels.map(nearestLevel), this.#kept++ * levels.length);
    if (picture.label !== null) this.#labels.push(picture.label);
  }

  end(): DataImages {
    const shape = this.#shape;
    if (shape === null || this.#kept === 0) {
      throw new DpmError('ERR_DPM_FILE', `none of ${this.count} pictures can be read`);
    }
    return {
      images: this.#images.subarray(0, this.#kept * elementCount(shape)),
      labels: this.#labels.length === 0 ? null : Int32Array.from(this.#labels),
      shape: [this.#kept, ...shape],
    };
  }

  #allocate(shape: PictureShape): PictureShape {
    const elements = elementCount(shape);
    requireMemory(`${this.count} pictures`, this.count * elements, 1);
    this.#images = new Uint8Array(this.count * elements);
    this.#shape = shape;
    return shape;
  }
}

/** The pictures of a folder. */
export function picturesInFiles({ pictures, labels }: PictureFolder): Pictures {
  const codec = new JpegCodec();
  return {
    count: pictures.length,
    async *[Symbol.asyncIterator]() {
      for (const [i, path] of pictures.entries()) {
        const name = shownPath(path);
        let bytes: Promise<Uint8Array> | undefined;
        const read = (): Promise<Uint8Array> => (bytes ??= readPictureFile(path));
        yield await Promise.resolve(encodedPicture(name, labels === null ? null : at(labels, i), read, codec));
      }
    },
  };
}

/**
 * Reads pictures as levels of one shape.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` naming a broken picture, or if all are; `ERR_DPM_TENSOR_SHAPE` naming one of
 * another shape, `ERR_DPM_OUT_OF_MEMORY`, `ERR_DPM_ABORTED`; what the pictures themselves throw.
 */
export async function readPictures(
  pictures: Pictures,
  { shape, resize = false, skipBroken = false, signal, onProgress }: OpenImagesOptions,
): Promise<DataImages & { broken: number }> {
  const store = new ImageStore(pictures.count, shape);
  const skipping = new Skipping(skipBroken);
  let done = 0;
  for await (const picture of pictures) {
    throwIfAborted(signal);
    await skipping.tried(() => store.add(picture, resize));
    onProgress?.(++done, pictures.count);
  }
  return { ...store.end(), broken: skipping.broken };
}
