import { extname, join } from 'node:path';

import { DpmError } from '../base/errors.js';
import { makeFolder, writeAtomically } from '../files/files.js';

/** What images are written as. */
export type ImageFileKind = 'png' | 'safetensors' | 'folder';

/**
 * What a path says that images are written as; the case of its ending does not matter.
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

/** Writes pictures into a folder, which is made where it is not there: `00000.png`, `00001.png`, … */
export async function saveFolder(folder: string, pictures: Iterable<Uint8Array>): Promise<void> {
  await makeFolder(folder);
  let index = 0;
  for (const png of pictures) await writeAtomically(join(folder, `${String(index++).padStart(5, '0')}.png`), [png]);
}
