import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';

import { DpmError } from 'dpm-native';
import { parse } from 'yaml';

import type { ModelConfig } from './model-config.js';
import { hostOf } from '../base/host.js';
import { requireRedisUrl } from '../base/redis-url.js';
import { checked } from '../base/schema.js';
import { complete, configSchema, type ServerConfig, type Settings } from './settings.js';

const loopback: ReadonlySet<string> = new Set(['127.0.0.1', '::1', 'localhost']);

/**
 * Reads a configuration file, YAML or JSON.
 *
 * @throws {@link DpmError} `ERR_DPM_FILE` and `ERR_DPM_CONFIG` naming the file and the field.
 */
export async function readConfig(path: string): Promise<ServerConfig> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new DpmError('ERR_DPM_FILE', `cannot read the configuration ${path}`, { cause });
  }
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    throw new DpmError('ERR_DPM_CONFIG', `${path} is no YAML: ${(cause as Error).message}`, { cause });
  }
  return checked(configSchema, value, path);
}

/** The id of a model. By default it is the last name of the path, without its ending. */
function idOf({ id, path }: ModelConfig): string {
  const name =
    path
      .replace(/[/\\]+$/, '')
      .split(/[/\\]/)
      .at(-1) ?? '';
  return id ?? name.replace(/\.(?:safetensors|pth?|ckpt|bin)$/, '');
}

/** Tells whether a text is an origin as browsers send it, with nothing after its port. */
function isOrigin(text: string): boolean {
  return URL.canParse(text) && /^https?:/.test(text) && new URL(text).origin === text;
}

/** Tells whether a text is an address, a range such as `10.0.0.0/8`, or the name of a range. */
function isRange(text: string): boolean {
  if (['loopback', 'linklocal', 'uniquelocal'].includes(text)) return true;
  const [address = '', bits, ...more] = text.split('/');
  const most = { 4: 32, 6: 128 }[isIP(address)] ?? 0;
  if (more.length > 0 || most === 0) return false;
  return bits === undefined || (/^[1-9]\d{0,2}$/.test(bits) && Number(bits) <= most);
}

function requireAll(field: string, texts: readonly string[], holds: (text: string) => boolean, expected: string): void {
  const wrong = texts.find((text) => !holds(text));
  if (wrong !== undefined) throw new DpmError('ERR_DPM_CONFIG', `${field} has '${wrong}', it has to be ${expected}`);
}

/**
 * Completes a configuration with defaults, and checks it.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` where fields contradict each other.
 */
export function settingsOf(config: ServerConfig): Settings {
  checked(configSchema, config, 'the configuration');
  const models = (config.models ?? []).map((model) => ({ ...model, id: idOf(model) }));
  if (models.length === 0) throw new DpmError('ERR_DPM_CONFIG', 'there is no model to serve');
  const twice = models.find(({ id }, i) => models.findIndex((other) => other.id === id) < i);
  if (twice !== undefined) throw new DpmError('ERR_DPM_CONFIG', `two models have the id ${twice.id}`);
  const settings: Settings = { ...complete(config), models };
  requireAll('cors', settings.cors, isOrigin, 'origins, as https://example.org');
  requireAll('hosts', settings.hosts, (text) => hostOf(text) === text, 'names without a port, as draw.example.org');
  requireAll('trustProxy', settings.trustProxy, isRange, 'addresses or ranges of them, as 10.0.0.0/8');
  if (settings.metricsPort === settings.port && settings.port !== 0) {
    throw new DpmError('ERR_DPM_CONFIG', `metricsPort is ${settings.port}, which is the port of the other routes`);
  }
  if (settings.tokens === undefined && !settings.insecure && !loopback.has(settings.host)) {
    throw new DpmError(
      'ERR_DPM_CONFIG',
      `host ${settings.host} can be reached from other machines: give tokens, or insecure to serve everybody`,
    );
  }
  requireOneStore(settings);
  return settings;
}

function requireOneStore({ spool, queue, results }: Settings): void {
  if (queue !== undefined) requireRedisUrl(queue);
  if (spool !== undefined && queue !== undefined) {
    throw new DpmError('ERR_DPM_CONFIG', 'spool and queue: jobs have one place');
  }
  if ((queue === undefined) !== (results === undefined)) {
    throw new DpmError('ERR_DPM_CONFIG', 'queue and results belong together: workers keep samples there');
  }
}
