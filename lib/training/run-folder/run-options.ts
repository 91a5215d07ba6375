import { join } from 'node:path';

import { DpmError } from '../../base/errors.js';
import { ConfigReader, isJsonObject } from '../../files/config-reader.js';
import { isThere, readJson } from '../../files/files.js';
import type { Disk } from './disk.js';

/** Name of the file with the options of a run. */
export const runName = 'run.json';

const FORMAT = 1;

/** Options that a run keeps from its first step to its last, as JSON. */
export type RunSettings = Readonly<Record<string, unknown>>;

/** Text of a value, equal for equal ones whatever the order of their keys. */
function canonical(value: unknown): string {
  const sorted = (_: string, each: unknown): unknown =>
    isJsonObject(each) ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1))) : each;
  return value === undefined ? 'undefined' : JSON.stringify(value, sorted);
}

function shown(value: unknown): string {
  return value === undefined ? 'not given' : canonical(value).slice(0, 100);
}

/**
 * Refuses settings that are not those a run was begun with.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the first option that is another one, and both of its values.
 */
export function requireSameSettings(source: string, saved: RunSettings, given: RunSettings): void {
  // In the order in which they are given: what decides about others comes before these.
  for (const name of new Set([...Object.keys(given), ...Object.keys(saved)])) {
    if (canonical(saved[name]) === canonical(given[name])) continue;
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `${name} is ${shown(given[name])}, the run of ${source} was begun with ${shown(saved[name])}: go on with that, or begin another run`,
    );
  }
}

/** Reads the settings of a run; null where none has begun. @throws {@link DpmError} naming the file and the field. */
export async function readSettings(folder: string): Promise<RunSettings | null> {
  const path = join(folder, runName);
  if (!(await isThere(path))) return null;
  const json = await readJson(path);
  if (!isJsonObject(json)) throw new DpmError('ERR_DPM_CONFIG', `${path} is not a JSON object`);
  const config = new ConfigReader(json, path);
  if (config.integer('format', undefined, { least: 1, most: 2 ** 31 }) !== FORMAT) {
    throw config.unsupported('format', String(FORMAT));
  }
  const options = config.raw('options');
  if (!isJsonObject(options)) throw config.error('options', 'an object');
  return options;
}

/** Writes the settings of a run. */
export async function writeSettings(folder: string, options: RunSettings, disk: Disk): Promise<void> {
  const kept = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  await disk.write(join(folder, runName), [`${JSON.stringify({ format: FORMAT, options: kept }, null, 2)}\n`]);
}
