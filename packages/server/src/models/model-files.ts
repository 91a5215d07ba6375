import type { Stats } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** A file or folder of a model, or what a link in its place leads to. */
export interface ModelEntry {
  /** The path within the model's folder; '' for the folder or the file itself. */
  readonly name: string;
  /** The real path, with links resolved. */
  readonly real: string;
  readonly stats: Stats;
}

/** The most nested folders and the most entries that the folder of a model may have. */
const MOST_DEPTH = 8;
const MOST_ENTRIES = 10_000;

async function entryOf(path: string, name: string): Promise<ModelEntry> {
  const real = await realpath(path);
  return { name, real, stats: await stat(real) };
}

/**
 * The entries of a model's path: the file, or the folder and everything below it, with links followed. Models have nothing in folders
 * whose names begin with a dot.
 *
 * @throws Error as `node:fs` does, for a broken link too, and where there are more entries than a model has.
 */
export async function* modelEntries(path: string): AsyncGenerator<ModelEntry, void, void> {
  let count = 0;
  const below = async function* (entry: ModelEntry, depth: number): AsyncGenerator<ModelEntry, void, void> {
    if (depth > MOST_DEPTH || ++count > MOST_ENTRIES) throw new Error(`${path} has more than a model has`);
    yield entry;
    if (!entry.stats.isDirectory() || basename(entry.name).startsWith('.')) return;
    for (const child of (await readdir(entry.real)).sort()) {
      yield* below(await entryOf(join(entry.real, child), join(entry.name, child)), depth + 1);
    }
  };
  yield* below(await entryOf(path, ''), 0);
}

/** A text that changes whenever a file of a model does; null where the path names no readable files of this machine. */
export async function stateOfFiles(path: string): Promise<string | null> {
  const files: unknown[] = [];
  try {
    for await (const { name, real, stats } of modelEntries(path)) {
      if (stats.isFile()) files.push([name, real, stats.size, stats.mtimeMs]);
    }
  } catch {
    return null;
  }
  return JSON.stringify(files);
}
