import { stat } from 'node:fs/promises';
import { extname } from 'node:path';

import { requireMemory } from '../base/memory-budget.js';
import { centredRange, valuesOfLevels } from '../base/pixel-range.js';
import { filesIn, shownPath } from '../files/files.js';
import { readNamedImages, type ImagesTaken, type NamedImages } from '../images/load.js';
import { openImages } from '../training/data/open-images.js';

/** What {@link readDataImages} reads, for help. */
export const dataImagesHelp =
  'images: safetensors with images [N,C,H,W], a .png or a folder of such, or what dpm train takes: IDX, .npz, .bin of CIFAR, .parquet, folders of JPEG';

/** Images of a data set, with their classes if they are known and wanted. */
export interface LabelledImages extends NamedImages {
  labels: Int32Array | null;
}

const endingOf = (path: string): string => extname(path).toLowerCase();

/** Tells whether a path is of pictures or tensors whose names are kept. */
async function isNamed(path: string): Promise<boolean> {
  if (['.png', '.safetensors'].includes(endingOf(path))) return true;
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory() !== true) return false;
  const endings = new Set((await filesIn(path)).map((file) => endingOf(shownPath(file))));
  return endings.has('.png') && !endings.has('.jpg') && !endings.has('.jpeg');
}

/**
 * Reads the images of a data set, in model space: those of {@link readNamedImages} and those that training takes.
 *
 * @param options - `labels`: true if the classes of what training takes are wanted.
 * @throws {@link DpmError} The errors of both.
 */
export async function readDataImages(
  path: string,
  { sampleShape, range = centredRange }: ImagesTaken,
  { signal, labels: wanted = false }: { signal?: AbortSignal; labels?: boolean } = {},
): Promise<LabelledImages> {
  if (await isNamed(path)) return { ...(await readNamedImages(path, { sampleShape, range })), labels: null };
  const shape = sampleShape as [number, number, number] | undefined;
  const { images, labels, shape: found } = await openImages(path, { shape, signal, labels: wanted });
  requireMemory(`${path}: images`, images.length, Float32Array.BYTES_PER_ELEMENT);
  const values = images instanceof Float32Array ? images : valuesOfLevels(images, range);
  return { shape: [...found], images: values, names: null, labels };
}
