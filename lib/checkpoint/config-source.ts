import { access } from 'node:fs/promises';
import { extname } from 'node:path';

import { parse } from 'yaml';

import { DpmError } from '../errors.js';
import { readConfigFile, readJson } from '../files.js';
import { isJsonObject } from './config-reader.js';
import { presetNames, presets } from './presets.js';

/** A configuration of a checkpoint, and what names it in messages. */
export interface NamedConfig {
  config: Record<string, unknown>;
  source: string;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/**
 * A configuration from a JSON or YAML file, or by the name of a preset.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` when it is neither a file nor a preset, `ERR_DPM_CONFIG` when the file is not an
 * object.
 */
export async function readNamedConfig(name: string): Promise<NamedConfig> {
  const preset = Object.hasOwn(presets, name) ? presets[name] : undefined;
  if (preset !== undefined) return { config: { ...preset }, source: `preset ${name}` };
  if (!(await exists(name))) {
    throw new DpmError(
      'ERR_DPM_ARGUMENT',
      `config '${name.slice(0, 200)}' is neither a file nor a preset; presets: ${presetNames.join(', ')}`,
    );
  }
  const isYaml = ['.yaml', '.yml'].includes(extname(name));
  // Aliases that repeat each other would unfold without measure.
  const config = isYaml
    ? await readConfigFile(name, 'YAML', (text) => parse(text, { maxAliasCount: 0 }) as unknown)
    : await readJson(name);
  if (!isJsonObject(config)) throw new DpmError('ERR_DPM_CONFIG', `${name} is not an object`);
  return { config, source: name };
}
