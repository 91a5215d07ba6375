import { randomBytes } from 'node:crypto';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';

import { DpmError } from './errors.js';

/** Largest JSON file this package reads whole. */
const JSON_LIMIT = 16 * 1024 * 1024;

/** Most bytes of one read; systems refuse 2 GiB and more. */
const READ_LIMIT = 2 ** 30;

function fileError(action: string, path: string, cause: unknown): DpmError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new DpmError('ERR_DPM_FILE', `cannot ${action} ${path}: ${reason}`, { cause });
}

/** Opens a file for reading, hands it over and closes it whatever happens. */
export async function withFile<T>(path: string, use: (file: FileHandle, size: number) => Promise<T>): Promise<T> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (cause) {
    throw fileError('open', path, cause);
  }
  try {
    const status = await file.stat();
    if (!status.isFile()) throw new DpmError('ERR_DPM_FILE', `${path} is not a regular file`);
    return await use(file, status.size);
  } catch (cause) {
    if (cause instanceof DpmError) throw cause;
    throw fileError('read', path, cause);
  } finally {
    await file.close();
  }
}

/** Reads exactly `length` bytes at `position`. */
export async function readExactly(
  file: FileHandle,
  path: string,
  position: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
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
 * A configuration of at most 16 MiB.
 *
 * @param format - Named in errors, e.g. `JSON`.
 * @param parse - Throws where the text is not of this format.
 * @throws {@link DpmError} `ERR_DPM_FILE` when it cannot be read, `ERR_DPM_CONFIG` when it is too large or not of this format.
 */
export async function readConfigFile(path: string, format: string, parse: (text: string) => unknown): Promise<unknown> {
  const bytes = await withFile(path, async (file, size) => {
    if (size > JSON_LIMIT) {
      throw new DpmError('ERR_DPM_CONFIG', `${path} has ${size} bytes, a configuration has at most ${JSON_LIMIT}`);
    }
    return readExactly(file, path, 0, size);
  });
  try {
    return parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DpmError('ERR_DPM_CONFIG', `${path} is not ${format}: ${reason}`, { cause });
  }
}

/** A JSON file of at most 16 MiB. */
export async function readJson(path: string): Promise<unknown> {
  return readConfigFile(path, 'JSON', (text) => JSON.parse(text) as unknown);
}

/**
 * Writes a file so that `path` holds either its old content or all of the new one: the parts go to a temporary file
 * beside it, which then takes its name.
 */
export async function writeAtomically(
  path: string,
  parts: Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>,
): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
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
    if (cause instanceof DpmError) throw cause;
    throw fileError('write', path, cause);
  }
}
