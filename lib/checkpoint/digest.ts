import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';

import { DpmError } from '../base/errors.js';

/** Endings of configurations and weights. */
const endings: ReadonlySet<string> = new Set([
  '.json',
  '.yaml',
  '.yml',
  '.safetensors',
  '.bin',
  '.pt',
  '.pth',
  '.ckpt',
  '.npz',
]);
/** Maximum depth of folders in folders. */
const MOST_DEPTH = 3;

async function filesBelow(folder: string, depth: number): Promise<string[]> {
  const entries = await readdir(folder);
  const found = await Promise.all(
    entries.map(async (name) => {
      const path = join(folder, name);
      // Targets of links count: the hub's folders are links.
      const entry = await stat(path);
      if (entry.isDirectory()) {
        const below = depth < MOST_DEPTH && !name.startsWith('.') ? await filesBelow(path, depth + 1) : [];
        return below.map((file) => join(name, file));
      }
      return entry.isFile() && endings.has(extname(name).toLowerCase()) ? [name] : [];
    }),
  );
  return found.flat();
}

async function addFile(hash: Hash, name: string, path: string): Promise<void> {
  hash.update(`${JSON.stringify(name)} `);
  const contents = createHash('sha256');
  for await (const chunk of createReadStream(path)) contents.update(chunk as Buffer);
  hash.update(`${contents.digest('hex')}\n`);
}

/**
 * Computes the SHA-256 of a model's configurations and weights, names and contents: of all in a folder, or of one file.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` if one cannot be read.
 */
export async function digestOfModel(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    if ((await stat(path)).isDirectory()) {
      const names = (await filesBelow(path, 0)).map((name) => name.replaceAll('\\', '/')).sort();
      for (const name of names) await addFile(hash, name, join(path, name));
    } else {
      await addFile(hash, basename(path), path);
    }
  } catch (cause) {
    throw new DpmError('ERR_DPM_FILE', `cannot read the model ${path}: ${(cause as Error).message}`, { cause });
  }
  return hash.digest('hex');
}
