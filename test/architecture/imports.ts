// Imports of TypeScript files and includes of C++ files, and what is wrong with them by a table of rooms.
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';

import ts from 'typescript';

import type { Room } from './rooms.js';

/** Path -> text. */
export type Sources = ReadonlyMap<string, string>;

const extensions = ['.ts', '.tsx', '.cc', '.c', '.h', '.cu', '.cuh'];

/** Lists the files below a folder; installed packages, which may be many gigabytes, are not ours. */
function* filesBelow(root: string, folder: string): Generator<string, void, void> {
  for (const entry of readdirSync(posix.join(root, folder), { withFileTypes: true })) {
    const path = posix.join(folder, entry.name);
    if (entry.isFile()) yield path;
    if (entry.isDirectory() && entry.name !== 'node_modules') yield* filesBelow(root, path);
  }
}

/** The sources below folders of this checkout. */
export function readSources(root: string, folders: readonly string[]): Sources {
  const sources = new Map<string, string>();
  for (const folder of folders) {
    for (const file of filesBelow(root, folder)) {
      if (!extensions.some((extension) => file.endsWith(extension))) continue;
      sources.set(file, readFileSync(posix.join(root, file), 'utf8'));
    }
  }
  return sources;
}

/** The tree that a room belongs to: `lib`, `native`, `cuda`, or the sources of a package. */
export function treeOf(path: string): string {
  const [, tree = path] = /^(packages\/[^/]+\/src|[^/]+)\//.exec(path) ?? [];
  return tree;
}

/**
 * Files that a TypeScript file imports by a path, types included, or that a C++ file includes by a path from `native/`, from the root or
 * from its own folder. Packages are not among them: what `packages/` has from 'dpm-native' is public.
 */
export function imported(file: string, sources: Sources): string[] {
  const text = sources.get(file) ?? '';
  if (/\.tsx?$/.test(file)) {
    const { importedFiles } = ts.preProcessFile(text, true, true);
    return importedFiles
      .filter(({ fileName }) => /^\..*\.js$/.test(fileName))
      .map(({ fileName }) => posix.join(posix.dirname(file), fileName).replace(/\.js$/, '.ts'))
      .map((path) => (sources.has(`${path}x`) ? `${path}x` : path));
  }
  const named = [...text.matchAll(/^\s*#\s*include\s+"([^"]+)"/gm)].map(([, name]) => name ?? '');
  return named.flatMap(
    (name) => [`native/${name}`, name, posix.join(posix.dirname(file), name)].find((path) => sources.has(path)) ?? [],
  );
}

/** The room of a file: the longest path that it lies under. */
export function roomOf(file: string, rooms: readonly Room[]): Room | undefined {
  return rooms
    .filter(({ path }) => file === path || file.startsWith(`${path}/`))
    .reduce<Room | undefined>(
      (best, room) => (best === undefined || room.path.length > best.path.length ? room : best),
      undefined,
    );
}

/** Lists every arrow that the table does not allow, and every file that lies in no room. */
export function violations(sources: Sources, rooms: readonly Room[]): string[] {
  const found: string[] = [];
  for (const file of sources.keys()) {
    const room = roomOf(file, rooms);
    if (room === undefined) {
      found.push(`${file} lies in no room`);
      continue;
    }
    for (const target of imported(file, sources)) {
      const other = roomOf(target, rooms);
      if (other === undefined || (other !== room && !room.uses.includes(other.path))) {
        found.push(`${file} uses ${target}: ${room.path} may not use ${other?.path ?? 'what is in no room'}`);
      }
    }
  }
  return found;
}

/** Circles of files, each once as the way around it. */
export function circles(sources: Sources): string[] {
  const done = new Set<string>();
  const way: string[] = [];
  const found: string[] = [];
  const visit = (file: string): void => {
    if (way.includes(file)) found.push([...way.slice(way.indexOf(file)), file].join(' -> '));
    if (done.has(file)) return;
    done.add(file);
    way.push(file);
    imported(file, sources).forEach(visit);
    way.pop();
  };
  [...sources.keys()].forEach(visit);
  return found;
}

/** The table as ARCHITECTURE.md shows it. */
export function markdownTable(rooms: readonly Room[]): string[] {
  const lines = rooms.map(({ path, holds, uses }) => {
    // Rooms of one tree are named without it.
    const tree = `${treeOf(path)}/`;
    const named = uses.map((use) => (use.startsWith(tree) ? use.slice(tree.length) : use)).join(', ');
    return [`\`${path}\``, holds, named === '' ? 'nothing' : named];
  });
  return lines.map((cells) => cells.join(' | '));
}

/** Lines of the files of each room, without those of the rooms inside it. */
export function linesByRoom(sources: Sources, rooms: readonly Room[]): Map<string, number> {
  const lines = new Map(rooms.map(({ path }) => [path, 0]));
  for (const [file, text] of sources) {
    const room = roomOf(file, rooms);
    if (room !== undefined) lines.set(room.path, (lines.get(room.path) ?? 0) + text.split('\n').length - 1);
  }
  return lines;
}
