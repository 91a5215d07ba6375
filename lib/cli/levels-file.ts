import { DpmError } from '../base/errors.js';
import { ConfigReader, isJsonObject } from '../files/config-reader.js';
import { readJson } from '../files/files.js';
import type { Amplitudes, GivenLevel } from '../schedule/noise-level.js';

function reader(json: unknown, source: string): ConfigReader {
  if (!isJsonObject(json)) throw new DpmError('ERR_DPM_CONFIG', `${source} has to be an object with alpha and sigma`);
  return new ConfigReader(json, source);
}

function amplitudes(config: ConfigReader): Amplitudes {
  return { alpha: config.number('alpha'), sigma: config.number('sigma') };
}

function level(json: unknown, source: string): GivenLevel {
  const config = reader(json, source);
  config.onlyFields(['alpha', 'sigma', 'time', 'to', 'rises']);
  return {
    ...amplitudes(config),
    ...(config.has('time') && { time: config.number('time') }),
    ...(config.has('rises') && { rises: config.boolean('rises', false) }),
    ...(config.has('to') && { to: amplitudes(reader(config.raw('to'), `${source}: to`)) }),
  };
}

/**
 * Reads noise levels: a JSON array of objects with `alpha`, `sigma` and, but for the last, `time`, as `dpm inspect --json` shows them.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` naming the file, the entry and the field.
 */
export async function readLevels(path: string): Promise<GivenLevel[]> {
  const json = await readJson(path);
  if (!Array.isArray(json)) throw new DpmError('ERR_DPM_CONFIG', `${path} has to be an array of noise levels`);
  return json.map((each: unknown, index) => level(each, `${path}: entry ${index}`));
}
