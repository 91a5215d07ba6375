import { extname, join } from 'node:path';

import { encode } from 'fast-png';

import { DpmError } from '../base/errors.js';
import { makeFolder, writeAtomically } from '../files/files.js';
import { interleaved, type ImageShape } from './layout.js';

/**
 * Refuses images that a PNG cannot hold.
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

/** Encodes the levels of one image, [1, C, H, W], as a PNG. */
export function encodePng(levels: Uint8Array, shape: ImageShape): Uint8Array {
  requirePngChannels(shape);
  const [, channels, height, width] = shape;
  return encode({ width, height, channels, depth: 8, data: interleaved(levels, shape) });
}

/** Kind of the file of images. */
export type ImageFileKind = 'png' | 'safetensors' | 'folder';

/**
 * Finds the kind of image file of a path; the case of its ending does not matter.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for an ending of another kind of file.
 */
export function imageFileKind(path: string): ImageFileKind {
  const extension = extname(path).toLowerCase();
  if (extension === '.png') return 'png';
  if (extension === '.safetensors') return 'safetensors';
  if (extension === '') return 'folder';
  throw new DpmError('ERR_DPM_ARGUMENT', `${path} has to be a .png file, a .safetensors file or a folder`);
}

/** Writes pictures into a folder, which is made if it does not exist: `00000.png`, `00001.png`, … */
export async function saveFolder(folder: string, pictures: Iterable<Uint8Array>): Promise<void> {
  await makeFolder(folder);
  let index = 0;
  for (const png of pictures) await writeAtomically(join(folder, `${String(index++).padStart(5, '0')}.png`), [png]);
}
