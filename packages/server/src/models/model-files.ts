import type { Stats } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** A file or folder of a model, or what a link in its place leads to. */
export interface ModelEntry {
  /** Below the model's folder; '' is the folder, or the file. */
  readonly name: string;
  /** Where it lies. */
  readonly real: string;
  readonly stats: Stats;
}

/** Folders in folders, and entries, beyond which a folder is no model's. */
const MOST_DEPTH = 8;
const MOST_ENTRIES = 10_000;

async function entryOf(path: string, name: string): Promise<ModelEntry> {
  const real = await realpath(path);
  return { name, real, stats: await stat(real) };
}

/**
 * All that a model's path leads to: the file, or the folder and then everything below, links followed. Nothing of a model lies in folders
 * whose names begin with a dot.
 *
 * @throws Error as `node:fs` does, also for a link that leads nowhere, and where there is more than a model has.
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

/** What changes when a file of a model does; null where it is none of this machine's files, or they cannot be read. */
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
