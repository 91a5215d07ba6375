import { dirname } from 'node:path';

import { elementCount } from '../base/arrays.js';
import { requireObject } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import { requireMemory } from '../base/memory-budget.js';
import { checkOptions, instanceOf, kinds, requireKind, threeSizes } from '../base/option-kinds.js';
import {
  centredRange,
  levelsPerUnit,
  requireRange,
  unitRange,
  valuesOfLevels,
  type PixelRange,
} from '../base/pixel-range.js';
import { shownValue } from '../base/text.js';
import { makeFolder, writeAtomically } from '../files/files.js';
import { pathOf } from '../files/paths.js';
import { writeSafetensors } from '../files/tensor-data.js';
import { captioned } from './captions.js';
import { decodedImage, decodedMask, decodeKinds, type DecodeOptions } from './decode.js';
import { enlarged, gridSize, interleaved, laidOut, MOST_SIDE, type GridSize, type ImageShape } from './layout.js';
import { type ImagesTaken, readNamedImages } from './load.js';
import {
  gridOptionKinds,
  pictureDefaults,
  pictureOptionKinds,
  type GridOptions,
  type PictureOptions,
} from './picture-options.js';
import { withTexts } from './png-text.js';
import { encodePng, imageFileKind, requirePngChannels, saveFolder } from './save.js';

function isImageShape(value: unknown): boolean {
  return Array.isArray(value) && value.length === 4 && value.every((size) => kinds.positiveInteger.holds(size));
}

/** A batch of images in model space. */
export class ImageBatch {
  /** Shape [N, C, H, W]. */
  readonly shape: ImageShape;
  /** The values of black and white in {@link ImageBatch.data}. */
  readonly range: PixelRange;
  #data: Float32Array | undefined;
  readonly #levels: Uint8Array | undefined;

  /**
   * @param values - Values in model space, or grey levels 0..255; row-major.
   * @param range - The values of black and white in model space.
   * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a wrong shape, `ERR_DPM_TENSOR_SHAPE` for another number of values.
   */
  constructor(values: Float32Array | Uint8Array, shape: ImageShape, range: PixelRange = centredRange) {
    requireKind('shape', shape, { expected: '[N, C, H, W], four positive integers', holds: isImageShape });
    const { length } = Object(values) as { length?: unknown };
    if (elementCount(shape) !== length) {
      throw new DpmError(
        'ERR_DPM_TENSOR_SHAPE',
        `images of shape [${shape.join(', ')}] have ${shownValue(length)} values, they need ${elementCount(shape)}`,
      );
    }
    requireRange('range', range);
    this.shape = shape;
    this.range = range;
    if (values instanceof Float32Array) this.#data = values;
    else this.#levels = values;
  }

  /**
   * Reads images: a `.png` or `.jpg`, a folder of such files by their names, or the tensor `images` [N, C, H, W] of a `.safetensors`
   * file, float32 in model space or levels.
   *
   * @param like - Required shape and the values of black and white, e.g. those of a model.
   * @throws {@link DpmError} `ERR_DPM_FILE` naming the file that cannot be read, `ERR_DPM_TENSOR_SHAPE` if its shape is
   * another.
   *
   * @example
   * ```ts
   * const printed = await ImageBatch.load('printed/', model);
   * ```
   */
  static async load(path: string | URL, like: ImagesTaken = {}): Promise<ImageBatch> {
    const place = pathOf('path', path);
    requireObject('what the images are for', like);
    const { sampleShape, range = centredRange } = like;
    if (sampleShape !== undefined) requireKind('sampleShape', sampleShape, threeSizes);
    requireRange('range', range);
    const own = { sampleShape: sampleShape?.slice(), range: [...range] } as const;
    const { images, shape } = await readNamedImages(place, own);
    return new ImageBatch(images, shape, own.range);
  }

  /**
   * Decodes a picture in memory, PNG or JPEG.
   *
   * @param like - Required shape and the values of black and white, e.g. those of a model, and the most pixels.
   * @throws {@link DpmError} `ERR_DPM_FILE` if it is neither, damaged, too large, or has transparent pixels; `ERR_DPM_TENSOR_SHAPE` if its
   * shape is another.
   *
   * @example
   * ```ts
   * const image = await ImageBatch.decode(await request.bytes());
   * ```
   */
  static async decode(bytes: Uint8Array, like: ImagesTaken & DecodeOptions = {}): Promise<ImageBatch> {
    requireKind('bytes', bytes, instanceOf('a Uint8Array', Uint8Array));
    requireObject('what the image is for', like);
    const { sampleShape, range = centredRange, mostPixels } = like;
    checkOptions('decode', { mostPixels }, decodeKinds);
    if (sampleShape !== undefined) requireKind('sampleShape', sampleShape, threeSizes);
    requireRange('range', range);
    const own = { sampleShape: sampleShape?.slice(), range: [...range] } as const;
    const { values, shape } = await decodedImage(bytes.slice(), { ...own, mostPixels });
    return new ImageBatch(values, shape, own.range);
  }

  /**
   * Decodes a mask in memory, [1, 1, H, W] with values from 0 to 1: 1 for the transparent pixels of a PNG with transparency, as
   * OpenAI's clients send it, else for the white ones.
   *
   * @throws {@link DpmError} `ERR_DPM_FILE` if it is neither PNG nor JPEG, damaged, or too large.
   */
  static async decodeMask(bytes: Uint8Array, options: DecodeOptions = {}): Promise<ImageBatch> {
    requireKind('bytes', bytes, instanceOf('a Uint8Array', Uint8Array));
    checkOptions('decodeMask', options, decodeKinds);
    const { values, shape } = await decodedMask(bytes.slice(), { ...options });
    return new ImageBatch(values, shape, unitRange);
  }

  /** Values in model space, row-major. A batch made of grey levels has 256 different ones. */
  get data(): Float32Array {
    this.#requireValues();
    this.#data ??= valuesOfLevels(this.#levels ?? new Uint8Array(), this.range);
    return this.#data;
  }

  /** Checks the values. @throws {@link DpmError} `ERR_DPM_ARGUMENT` if their array was transferred away. */
  #requireValues(): void {
    if ((this.#levels ?? this.#data)?.length === elementCount(this.shape)) return;
    throw new DpmError('ERR_DPM_ARGUMENT', 'the values of the images were transferred away');
  }

  /** Number of images. */
  get count(): number {
    return this.shape[0];
  }

  /** Grey levels 0..255, rounded to the nearest, [N, C, H, W]. */
  toUint8(): Uint8Array {
    this.#requireValues();
    if (this.#levels !== undefined) return this.#levels.slice();
    const levels = new Uint8Array(elementCount(this.shape));
    const scale = levelsPerUnit(this.range);
    const [black] = this.range;
    this.data.forEach((value, i) => {
      levels[i] = Math.min(Math.max(scale * (value - black), 0), 255) + 0.5;
    });
    return levels;
  }

  /** Levels with the channels of a pixel beside each other, [N, H, W, C], the order of most image libraries. */
  interleaved(): Uint8Array {
    return interleaved(this.toUint8(), this.shape);
  }

  /**
   * Converts to levels for the `ImageData` of a canvas, [N, H, W, 4] with an opaque fourth channel.
   *
   * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for other images than grey and RGB.
   */
  toRGBA(): Uint8ClampedArray {
    requirePngChannels(this.shape);
    const [, channels] = this.shape;
    const levels = this.interleaved();
    const pixels = new Uint8ClampedArray((levels.length / channels) * 4).fill(255);
    for (let pixel = 0; pixel < pixels.length / 4; ++pixel) {
      for (let colour = 0; colour < 3; ++colour) {
        pixels[4 * pixel + colour] = levels[pixel * channels + (channels === 1 ? 0 : colour)] ?? 0;
      }
    }
    return pixels;
  }

  /** The images from `first` up to `last`, by default one, which they share their memory with. */
  slice(first: number, last?: number): ImageBatch {
    const end = last ?? (Number.isInteger(first) ? first + 1 : NaN);
    const inside = Number.isInteger(first) && Number.isInteger(end) && first >= 0 && first < end && end <= this.count;
    if (!inside) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        `images ${shownValue(first)} to ${shownValue(end)} are not among the ${this.count}`,
      );
    }
    const [, channels, height, width] = this.shape;
    const size = channels * height * width;
    const values = this.#levels ?? this.data;
    return new ImageBatch(
      values.subarray(first * size, end * size),
      [end - first, channels, height, width],
      this.range,
    );
  }

  /** Iterates over the images. */
  *[Symbol.iterator](): Generator<ImageBatch> {
    for (let image = 0; image < this.count; ++image) yield this.slice(image);
  }

  /** Arranges all images as one image, in rows from the left, black between them. */
  grid(options: GridOptions = {}): ImageBatch {
    checkOptions('grid', options, gridOptionKinds);
    const { width, height } = this.#requireRoom(options, 1);
    const shape = [1, this.shape[1], height, width] as const;
    const values = this.#levels ?? this.data;
    const canvas =
      values instanceof Float32Array
        ? new Float32Array(elementCount(shape)).fill(this.range[0])
        : new Uint8Array(elementCount(shape));
    return new ImageBatch(laidOut(values, this.shape, options, canvas), shape, this.range);
  }

  /** The size of a grid, which has to fit into memory. */
  #requireRoom(options: GridOptions, scale: number): GridSize {
    const [count, channels, height, width] = this.shape;
    const size = gridSize([count, channels, height * scale, width * scale], options);
    const sides = `a grid of ${size.width} x ${size.height} pixels`;
    if (size.width > MOST_SIDE || size.height > MOST_SIDE) {
      throw new DpmError('ERR_DPM_ARGUMENT', `${sides}: a side has at most ${MOST_SIDE}`);
    }
    requireMemory(sides, channels * size.width * size.height, Float32Array.BYTES_PER_ELEMENT);
    return size;
  }

  /**
   * Encodes the image as a PNG, or several images beside each other.
   *
   * @throws {@link DpmError} `ERR_DPM_UNSUPPORTED` for other images than grey and RGB.
   */
  toPng(options: PictureOptions = {}): Uint8Array {
    checkOptions('toPng', options, pictureOptionKinds);
    requirePngChannels(this.shape);
    const { scale = pictureDefaults.scale, labels, texts = {}, ...grid } = options;
    this.#requireRoom(grid, scale);
    const [count, channels, height, width] = this.shape;
    const large = {
      levels: enlarged(this.toUint8(), this.shape, scale),
      shape: [count, channels, height * scale, width * scale] as const,
    };
    const { levels, shape } = labels === undefined ? large : captioned(large.levels, large.shape, labels);
    const whole = new ImageBatch(levels, shape, this.range).grid(grid);
    return withTexts(encodePng(whole.toUint8(), whole.shape), texts);
  }

  /**
   * Writes the images: `.png` from {@link ImageBatch.toPng}, `.safetensors` as the tensor `images` in model space, any other
   * path as a folder with a PNG of each. A failure leaves an earlier file unchanged.
   *
   * @throws {@link DpmError} `ERR_DPM_FILE` if writing fails, `ERR_DPM_UNSUPPORTED` for a PNG of other images than grey and
   * RGB.
   */
  async save(path: string, options: PictureOptions = {}): Promise<void> {
    requireKind('path', path, kinds.string);
    checkOptions('save', options, pictureOptionKinds);
    const kind = imageFileKind(path);
    const images = new ImageBatch((this.#levels ?? this.data).slice(), this.shape, this.range);
    const how = { ...options, labels: options.labels?.slice(), texts: { ...options.texts } };
    if (kind === 'folder') {
      await saveFolder(path, images.#pictures(how));
      return;
    }
    await makeFolder(dirname(path));
    if (kind === 'png') await writeAtomically(path, [images.toPng(how)]);
    else await writeSafetensors(path, { images: { shape: [...images.shape], data: images.data } });
  }

  /** A PNG of each image. */
  *#pictures({ scale, labels, texts }: PictureOptions): Generator<Uint8Array> {
    let index = 0;
    for (const image of this) {
      const label = labels?.[index++];
      yield image.toPng({ scale, texts, ...(label !== undefined && { labels: [label] }) });
    }
  }
}
