import { access, constants, stat } from 'node:fs/promises';
import { basename, dirname, extname, resolve } from 'node:path';

import { DpmError } from '../base/errors.js';
import { makeFolder, writeAtomically } from '../files/files.js';
import { usageError } from './usage-error.js';
import { streams } from './output.js';

/** The path that stands for the standard output. */
export const standardOutput = '-';

/** Maximum length of a name in file systems. */
const MOST_NAME_BYTES = 255;

/** Kinds of output that a command can write. */
export interface TargetKinds {
  /** Option of the path, e.g. `--out`. */
  flag: string;
  /** Endings of files, in lower case; none: any. */
  endings?: readonly string[];
  /** True if a path without an ending is a folder that receives files. Default false. */
  folder?: boolean;
  /** True if `-` is the standard output. Default false. */
  toStandardOutput?: boolean;
  /** True if the command writes JSON to the standard output. Default false. */
  json?: boolean;
  /** Suffix that is added to the name of some of the files. */
  suffix?: string;
}

function kindsInWords({ endings = [], folder = false }: TargetKinds): string {
  const words = [...endings.map((ending) => `a ${ending} file`), ...(folder ? ['a folder'] : [])];
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}`;
}

function unwritable(flag: string, path: string, why: string): DpmError {
  return new DpmError('ERR_DPM_FILE', `${flag} ${path} cannot be written: ${why}`);
}

/** Finds the kind of entry at a path; null for nothing. */
async function kindAt(path: string): Promise<'file' | 'folder' | 'other' | null> {
  try {
    const found = await stat(path);
    return found.isFile() ? 'file' : found.isDirectory() ? 'folder' : 'other';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    return 'other';
  }
}

async function requireWritableFolder(flag: string, path: string, folder: string): Promise<void> {
  const kind = await kindAt(folder);
  if (kind === null && dirname(folder) !== folder) {
    await requireWritableFolder(flag, path, dirname(folder));
    return;
  }
  if (kind !== 'folder') throw unwritable(flag, path, `${folder} is not a folder`);
  try {
    await access(folder, constants.W_OK | constants.X_OK);
  } catch {
    throw unwritable(flag, path, `the folder ${folder} is read-only`);
  }
}

/**
 * Checks before the work that its result can be written; nothing is made yet.
 *
 * @throws {@link DpmError} `ERR_DPM_USAGE` for another kind of file, `ERR_DPM_FILE` naming the obstacle.
 */
export async function checkTarget(path: string, kinds: TargetKinds): Promise<void> {
  const { flag, endings = [], folder = false, suffix = '' } = kinds;
  if (path === standardOutput) {
    if (kinds.toStandardOutput !== true) {
      throw usageError(`${flag} - would be the standard output, which this command does not write to; give a file`);
    }
    if (kinds.json === true) throw usageError(`--json and ${flag} - would both write to the standard output`);
    return;
  }
  if (path === '') throw usageError(`${flag} is empty, it has to be a path`);
  const ending = extname(path).toLowerCase();
  const isFolder = folder && ending === '';
  if (!isFolder && endings.length > 0 && !endings.includes(ending)) {
    throw usageError(`${flag} ${path} has to be ${kindsInWords(kinds)}`);
  }
  const bytes = Buffer.byteLength(basename(path)) + (isFolder ? 0 : Buffer.byteLength(suffix));
  if (bytes > MOST_NAME_BYTES)
    throw unwritable(flag, path, `its name takes ${bytes} bytes, ${MOST_NAME_BYTES} are possible`);
  const whole = resolve(path);
  const kind = await kindAt(whole);
  const wanted = isFolder ? 'folder' : 'file';
  if (kind !== null && kind !== wanted) {
    const hint = isFolder && kind === 'file' ? `; give another name, or one that ends in ${endings.join(' or ')}` : '';
    await requireWritableFolder(flag, path, dirname(whole));
    throw unwritable(flag, path, `there is something that is no ${isFolder ? 'folder' : 'regular file'}${hint}`);
  }
  await requireWritableFolder(flag, path, isFolder ? whole : dirname(whole));
}

/** Writes bytes or text to a path, or to the standard output for `-`. */
export async function writeTarget(path: string, content: Uint8Array | string): Promise<void> {
  if (path !== standardOutput) {
    await makeFolder(dirname(path));
    await writeAtomically(path, [content]);
    return;
  }
  await new Promise<void>((done) => {
    streams().stdout.write(content, () => {
      done();
    });
  });
}
