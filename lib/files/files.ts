import { randomBytes } from 'node:crypto';
import { access, constants, mkdir, open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname, extname, join, sep } from 'node:path';

import { DpmError } from '../base/errors.js';
import { parseJson } from './parse-json.js';

/** Maximum size in bytes of a JSON file that is read whole. */
const JSON_LIMIT = 16 * 1024 * 1024;

/** Maximum number of bytes of one read; systems refuse 2 GiB and more. */
const READ_LIMIT = 2 ** 30;

/** Flag against waiting for the writer of a pipe; Windows has no such pipes, and no such flag. */
const readAtOnce = constants.O_RDONLY | ((constants.O_NONBLOCK as number | undefined) ?? 0);

/** Makes the error of work on a file that failed: `cannot read PATH: reason`. A DpmError stays what it is. */
export function fileError(action: string, path: string, cause: unknown): DpmError {
  if (cause instanceof DpmError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new DpmError('ERR_DPM_FILE', `cannot ${action} ${path}: ${reason}`, { cause });
}

/** A file, by a name that is text or by one whose bytes are none. */
export type FilePath = string | { readonly shown: string; readonly bytes: Buffer };

/** Gives the name of a file for messages. */
export function shownPath(path: FilePath): string {
  return typeof path === 'string' ? path : path.shown;
}

/** A file that is open, and its size in bytes. */
interface OpenFile {
  readonly file: FileHandle;
  readonly size: number;
}

/**
 * Opens a file for reading. Whoever opens it closes it; {@link withFile} does both.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` if it cannot be opened or is not a regular file.
 */
export async function openFile(given: FilePath): Promise<OpenFile> {
  const path = shownPath(given);
  let file: FileHandle;
  try {
    file = await open(typeof given === 'string' ? given : given.bytes, readAtOnce);
  } catch (cause) {
    throw fileError('open', path, cause);
  }
  try {
    const status = await file.stat();
    if (!status.isFile()) throw new DpmError('ERR_DPM_FILE', `${path} is not a regular file`);
    return { file, size: status.size };
  } catch (cause) {
    await file.close();
    throw fileError('read', path, cause);
  }
}

/**
 * Opens a file for reading, calls `use` with it and its size in bytes, and closes it in any case.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` if it cannot be opened, is not a regular file or `use` fails; a DpmError of `use`
 * passes unchanged.
 */
export async function withFile<T>(given: FilePath, use: (file: FileHandle, size: number) => Promise<T>): Promise<T> {
  const { file, size } = await openFile(given);
  try {
    return await use(file, size);
  } catch (cause) {
    throw fileError('read', shownPath(given), cause);
  } finally {
    await file.close();
  }
}

/**
 * Reads exactly `length` bytes at byte `position`.
 *
 * @param path - Name of the file in messages.
 * @param bytes - Array of this length that receives them. Default: a new one.
 * @throws {@link DpmError} `ERR_DPM_FILE_TRUNCATED` if the file ends before.
 */
export async function readExactly(
  file: FileHandle,
  path: string,
  position: number,
  length: number,
  bytes = new Uint8Array(length),
): Promise<Uint8Array> {
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, Math.min(length - done, READ_LIMIT), position + done);
    if (bytesRead === 0) {
      throw new DpmError(
        'ERR_DPM_FILE_TRUNCATED',
        `${path} ends at byte ${position + done}, ${position + length} are needed`,
      );
    }
    done += bytesRead;
  }
  return bytes;
}

/**
 * Reads the text of a file of at most `limit` bytes.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` if it cannot be read, `ERR_DPM_CONFIG` if it is too large or not UTF-8.
 */
export async function readText(path: string, limit: number): Promise<string> {
  const bytes = await withFile(path, async (file, size) => {
    if (size > limit) {
      const kind = extname(path).slice(1) || 'text';
      throw new DpmError('ERR_DPM_CONFIG', `${path} has ${size} bytes, at most ${limit} are read of a ${kind} file`);
    }
    return readExactly(file, path, 0, size);
  });
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new DpmError('ERR_DPM_CONFIG', `${path} is not text in UTF-8`, { cause });
  }
}

/**
 * Reads a JSON file of at most 16 MiB, in which no key occurs twice in one object and containers are nested at most 64
 * deep. `NaN`, `Infinity` and `-Infinity` are numbers, as in the files that Python writes.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` if it cannot be read, `ERR_DPM_CONFIG` naming the file if it breaks these rules.
 */
export async function readJson(path: string): Promise<unknown> {
  const text = await readText(path, JSON_LIMIT);
  const invalid = (problem: string, cause?: unknown): DpmError =>
    new DpmError('ERR_DPM_CONFIG', `${path} ${problem}`, { cause });
  return parseJson(text, invalid, { python: true });
}

/**
 * Writes a file so that `path` holds either its old content or all of the new one: the parts go to a temporary file beside
 * it, which then takes its name.
 *
 * @param parts - Bytes, or text that is written as UTF-8, in the order of the file.
 * @throws {@link DpmError} `ERR_DPM_FILE` if writing or `parts` fails; a DpmError of `parts` passes unchanged. The temporary
 * file is removed then.
 */
export async function writeAtomically(
  path: string,
  parts: Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>,
): Promise<void> {
  // A random name, as the path's own name may be as long as names can be.
  const temporary = join(dirname(path), `.dpm-${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx');
    try {
      for await (const part of parts) await file.writeFile(part);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw fileError('write', path, cause);
  }
}

/** Makes one folder; tells whether it was new. */
async function makeOneFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (cause) {
    const status = await stat(path).catch(() => undefined);
    if (status?.isDirectory() === true) return false;
    throw cause;
  }
}

async function makeFolders(path: string): Promise<string | undefined> {
  try {
    return (await makeOneFolder(path)) ? path : undefined;
  } catch (cause) {
    const parent = dirname(path);
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT' || parent === path) throw cause;
    const outermost = await makeFolders(parent);
    return (await makeOneFolder(path)) ? (outermost ?? path) : outermost;
  }
}

/**
 * Makes a folder, and those that it lies in, if they do not exist. One after the other: Node's own function never ends if a
 * system cannot find a folder in an existing one, as in /proc.
 *
 * @returns The outermost new folder; undefined if all existed.
 * @throws {@link DpmError} `ERR_DPM_FILE`.
 */
export async function makeFolder(path: string): Promise<string | undefined> {
  try {
    return await makeFolders(path);
  } catch (cause) {
    throw fileError('make the folder', path, cause);
  }
}

/** A name in a folder; bytes that are no text as %E9. */
function fileIn(folder: string, name: Buffer): FilePath {
  const text = name.toString();
  if (Buffer.from(text).equals(name)) return join(folder, text);
  const shown = Array.from(name, (byte) =>
    byte < 0x80 ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase()}`,
  ).join('');
  return { shown: join(folder, shown), bytes: Buffer.concat([Buffer.from(join(folder, sep)), name]) };
}

/**
 * Lists the content of a folder, in the order of the names.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` if it cannot be read.
 */
export async function filesIn(folder: string): Promise<FilePath[]> {
  try {
    const files = (await readdir(folder, { encoding: 'buffer' })).map((name) => fileIn(folder, name));
    return files.sort((a, b) => (shownPath(a) < shownPath(b) ? -1 : 1));
  } catch (cause) {
    throw fileError('read', folder, cause);
  }
}

/** Tells whether a file or folder of this name exists. */
export async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Tells whether there is a folder of this name. */
export async function isFolder(path: FilePath): Promise<boolean> {
  return stat(typeof path === 'string' ? path : path.bytes).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
