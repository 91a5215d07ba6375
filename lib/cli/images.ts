import { DpmError } from '../base/errors.js';
import { valueOfLevel, type PixelRange } from '../base/pixel-range.js';
import { readSafetensorsHeader } from '../files/safetensors.js';
import { readFloats } from '../files/tensor-data.js';

/** The tensor `images` of a data set in model space: float32 as it is, 0..255 mapped to the values of black to white. */
async function readImages(path: string, range: PixelRange): Promise<{ shape: number[]; data: Float32Array }> {
  const header = await readSafetensorsHeader(path);
  const { shape, dtype, data } = await readFloats(header, 'images', ['U8', 'F32']);
  if (shape.length !== 4) {
    throw new DpmError('ERR_DPM_TENSOR_SHAPE', `${path}: images is [${shape.join(', ')}], it has to be [N, C, H, W]`);
  }
  return { shape, data: dtype === 'U8' ? data.map((level) => valueOfLevel(level, range)) : data };
}

/** What a model or a classifier takes. */
interface ImagesTaken {
  readonly sampleShape: readonly number[];
  readonly range: PixelRange;
}

/**
 * The images of a data set that have the shape of a model's samples, in model space.
 *
 * @throws {@link DpmError} `ERR_DPM_TENSOR_SHAPE` naming the file when they have another.
 */
export async function readModelImages(path: string, { sampleShape, range }: ImagesTaken): Promise<Float32Array> {
  const { shape, data } = await readImages(path, range);
  if (shape.slice(1).join() !== sampleShape.join()) {
    const expected = sampleShape.join(', ');
    throw new DpmError(
      'ERR_DPM_TENSOR_SHAPE',
      `${path}: images is [${shape.join(', ')}], it has to be [N, ${expected}]`,
    );
  }
  return data;
}
