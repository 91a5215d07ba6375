import { basename, extname } from 'node:path';

import { DpmError } from '../../base/errors.js';
import { filesIn, isFolder, shownPath, type FilePath } from '../../files/files.js';

/** Depth of folders that are looked into; links can make circles. */
const DEEPEST = 32;

/** Pictures of a folder, and the classes they are of. */
export interface PictureFolder {
  pictures: readonly FilePath[];
  /** Class of each picture; null without classes. */
  labels: readonly number[] | null;
}

/** What lies in one folder. */
interface Content {
  folders: string[];
  pictures: FilePath[];
}

/** The order of code points, that of Python; JavaScript's own compares halves of them. */
function byCodePoints(a: FilePath, b: FilePath): number {
  return Buffer.compare(Buffer.from(shownPath(a)), Buffer.from(shownPath(b)));
}

/** Tells whether a file is a picture that is read, by its name. */
export function isPictureName(name: string): boolean {
  return ['.png', '.jpg', '.jpeg'].includes(extname(name).toLowerCase());
}

async function contentOf(folder: string): Promise<Content> {
  const content: Content = { folders: [], pictures: [] };
  for (const file of await filesIn(folder)) {
    const name = basename(shownPath(file));
    if (name.startsWith('.')) continue;
    const ending = extname(name).toLowerCase();
    if (isPictureName(name)) content.pictures.push(file);
    else if (['.webp', '.gif', '.bmp'].includes(ending)) {
      throw new DpmError('ERR_DPM_FILE', `${shownPath(file)}: only PNG and JPEG files are read`);
    } else if (await isFolder(file)) {
      if (typeof file !== 'string') {
        throw new DpmError('ERR_DPM_FILE', `${shownPath(file)}: the name of the folder is not UTF-8`);
      }
      content.folders.push(file);
    }
  }
  content.folders.sort(byCodePoints);
  content.pictures.sort(byCodePoints);
  return content;
}

/** All folders below one, itself first. */
async function* foldersFrom(folder: string, depth = 0): AsyncGenerator<[string, Content]> {
  if (depth > DEEPEST)
    throw new DpmError('ERR_DPM_FILE', `${folder}: folders lie more than ${DEEPEST} deep, or in a circle`);
  const content = await contentOf(folder);
  yield [folder, content];
  for (const inner of content.folders) yield* foldersFrom(inner, depth + 1);
}

/** The pictures below a folder, in the order of torchvision: folders by their paths, then files by their names. */
async function picturesBelow(folder: string): Promise<FilePath[]> {
  const found: [string, Content][] = [];
  for await (const each of foldersFrom(folder)) found.push(each);
  found.sort(([a], [b]) => byCodePoints(a, b));
  return found.flatMap(([, { pictures }]) => pictures);
}

/**
 * Lists the PNG and JPEG files of a folder and of those inside it, in the order of code points. As in torchvision's ImageFolder, the
 * folders right inside it are classes, numbered in that order.
 *
 * @param classes - False: folders are no classes.
 * @throws {@link DpmError} `ERR_DPM_FILE` naming a folder without pictures, a picture beside the folders of classes, and
 * pictures of other formats.
 */
export async function picturesOfFolder(folder: string, classes: boolean): Promise<PictureFolder> {
  const top = await contentOf(folder);
  if (!classes || top.folders.length === 0) {
    const pictures = await picturesBelow(folder);
    if (pictures.length === 0) throw new DpmError('ERR_DPM_FILE', `${folder} has no PNG or JPEG files`);
    return { pictures, labels: null };
  }
  const [beside] = top.pictures;
  if (beside !== undefined) {
    throw new DpmError(
      'ERR_DPM_FILE',
      `${shownPath(beside)} lies beside folders that are classes; labels: false takes all`,
    );
  }
  const [pictures, labels]: [FilePath[], number[]] = [[], []];
  for (const [label, inner] of top.folders.entries()) {
    const own = await picturesBelow(inner);
    if (own.length === 0) throw new DpmError('ERR_DPM_FILE', `${inner} has no PNG or JPEG files, as a class has to`);
    for (const picture of own) {
      pictures.push(picture);
      labels.push(label);
    }
  }
  return { pictures, labels };
}
