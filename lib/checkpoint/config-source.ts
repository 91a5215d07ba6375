import { extname } from 'node:path';

import { DpmError } from '../base/errors.js';
import { isJsonObject } from '../files/config-reader.js';
import { isThere, readJson } from '../files/files.js';
import { readYaml } from '../files/yaml.js';
import { presetNames, presets } from './presets.js';

/** A configuration of a checkpoint. */
export interface NamedConfig {
  /** Fields, not checked yet. */
  config: Record<string, unknown>;
  /** Name of the source in messages: the path of its file, or `preset NAME`. */
  source: string;
}

/**
 * Reads a configuration by the name of a preset, or from a file: YAML of at most 64 KiB if its name ends in .yaml or .yml,
 * else JSON of at most 16 MiB.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if it is neither a file nor a preset, `ERR_DPM_FILE` if it cannot be read,
 * `ERR_DPM_CONFIG` naming the file if it is too large, has a key twice, is nested more than 64 deep or is not an object.
 */
export async function readNamedConfig(name: string): Promise<NamedConfig> {
  const preset = Object.hasOwn(presets, name) ? presets[name] : undefined;
  if (preset !== undefined) return { config: { ...preset }, source: `preset ${name}` };
  if (!(await isThere(name))) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `config '${name.slice(0, 200)}' is neither a file nor a preset; presets: ${presetNames.join(', ')}`,
    );
  }
  const isYaml = ['.yaml', '.yml'].includes(extname(name));
  const config = isYaml ? await readYaml(name) : await readJson(name);
  if (!isJsonObject(config)) throw new DpmError('ERR_DPM_CONFIG', `${name} is not an object`);
  return { config, source: name };
}
