import { stat } from 'node:fs/promises';

import { DpmError } from '../../../base/errors.js';
import { readConditional, type ReadConditional } from '../conditional.js';
import { readSingleFile, type SingleFileOptions } from './single-file.js';

/**
 * Refuses what is said of files for a folder.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the option.
 */
export function requireNoFileOptions(path: string, { config, ema }: SingleFileOptions): void {
  const [name] = Object.entries({ config, ema }).find(([, value]) => value !== undefined) ?? [];
  if (name === undefined) return;
  throw new DpmError('ERR_DPM_ARGUMENT', `${path} is a folder: ${name} is for single files`);
}

/** Tells whether a path is that of a file. */
export async function isSingleFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

/**
 * Reads a conditional U-Net: a folder in diffusers' layout, or a file with the original's names, alone or of a whole model.
 *
 * @throws {@link DpmError} naming the file and the wrong field, tensor or option.
 */
export async function readConditionalAt(path: string, options: SingleFileOptions = {}): Promise<ReadConditional> {
  if (await isSingleFile(path)) return (await readSingleFile(path, options)).unet();
  requireNoFileOptions(path, options);
  return readConditional(path);
}
