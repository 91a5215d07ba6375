import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';

import { computeTypes, DpmError } from 'dpm-native';
import Type, { type Static } from 'typebox';
import { parse } from 'yaml';

import { KEEP } from './jobs/store.js';
import { checked } from './schema.js';

const strict = { additionalProperties: false };

/** A model that is served. */
export const modelSchema = Type.Object(
  {
    id: Type.Optional(Type.String({ pattern: '^[\\w.-]{1,64}$', description: 'The name in requests.' })),
    path: Type.String({ minLength: 1, description: 'What DiffusionModel.load takes.' }),
    config: Type.Optional(Type.String({ description: 'Of a checkpoint file: a configuration file or preset.' })),
    device: Type.Optional(Type.String()),
    dtype: Type.Optional(Type.Enum(computeTypes)),
    exact: Type.Optional(Type.Boolean()),
    threads: Type.Optional(Type.Integer({ minimum: 0, maximum: 1024 })),
    engines: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 64, description: 'Replicas, each with its own weights.' }),
    ),
    rows: Type.Optional(Type.Union([Type.Integer({ minimum: 1, maximum: 65_536 }), Type.Literal('auto')])),
    maxWait: Type.Optional(Type.Number({ minimum: 0, description: 'Milliseconds.' })),
    pinned: Type.Optional(Type.Boolean({ description: 'Does not go for another model.' })),
    labels: Type.Optional(
      Type.Array(Type.String({ maxLength: 256 }), { description: 'Names of the classes, in order.' }),
    ),
  },
  strict,
);

/** A model that is served. */
export type ModelConfig = Static<typeof modelSchema>;

/** What a server is started with; the file of `--config` has these fields. */
export const configSchema = Type.Object(
  {
    models: Type.Optional(Type.Array(modelSchema)),
    host: Type.Optional(Type.String({ minLength: 1 })),
    port: Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535 })),
    tokens: Type.Optional(Type.String({ minLength: 1, description: 'A file of tokens.' })),
    requestsPerMinute: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1e6, description: 'Of an address, without tokens. Default: no limit.' }),
    ),
    insecure: Type.Optional(Type.Boolean({ description: 'Serve others than this machine without tokens.' })),
    maxWait: Type.Optional(Type.Number({ minimum: 0, description: 'Milliseconds, of models that say nothing.' })),
    memory: Type.Optional(Type.Number({ exclusiveMinimum: 0, description: 'Bytes that all models may hold.' })),
    modelRoots: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description: 'Folders that models may be loaded from while it runs.',
      }),
    ),
    drain: Type.Optional(Type.Number({ minimum: 0, description: 'Milliseconds for accepted requests at the end.' })),
    spool: Type.Optional(Type.String({ minLength: 1, description: 'A folder for jobs of this machine alone.' })),
    queue: Type.Optional(
      Type.String({ pattern: '^rediss?://', description: 'Redis, where jobs wait for workers: dpm worker.' }),
    ),
    results: Type.Optional(
      Type.String({
        pattern: '^(?:file|s3)://',
        description: 'Where workers keep samples: file:///folder, s3://bucket/prefix.',
      }),
    ),
    keep: Type.Optional(Type.Number({ minimum: 0, description: 'Milliseconds that jobs which are over are kept.' })),
    deterministic: Type.Optional(
      Type.Boolean({ description: 'On a card, too, bits do not depend on other requests.' }),
    ),
    cors: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description: 'Origins whose pages may ask, as https://example.org.',
      }),
    ),
    metricsPort: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 65_535, description: 'Of /metrics alone, without tokens.' }),
    ),
    page: Type.Optional(Type.Boolean({ description: 'Serve the page at /. Default: true.' })),
    trustProxy: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { description: 'Addresses of proxies.' })),
    logLevel: Type.Optional(Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])),
  },
  strict,
);

/** What a server is started with. */
export type ServerConfig = Static<typeof configSchema>;

/** The same, complete. */
export type Settings = Required<
  Omit<ServerConfig, 'tokens' | 'models' | 'metricsPort' | 'spool' | 'queue' | 'results'>
> & {
  /** A file. */
  tokens: string | undefined;
  /** Undefined: metrics are among the other routes. */
  metricsPort: number | undefined;
  spool: string | undefined;
  queue: string | undefined;
  results: string | undefined;
  models: (ModelConfig & { id: string })[];
};

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

/** The id of a model that has none: the last name of its path, without its ending. */
function idOf({ id, path }: ModelConfig): string {
  const name =
    path
      .replace(/[/\\]+$/, '')
      .split(/[/\\]/)
      .at(-1) ?? '';
  return id ?? name.replace(/\.(?:safetensors|pth?|ckpt|bin)$/, '');
}

/** Whether a text is an origin as browsers send it, with nothing behind its port. */
function isOrigin(text: string): boolean {
  return URL.canParse(text) && /^https?:/.test(text) && new URL(text).origin === text;
}

/** Whether a text is an address or a range of them, `10.0.0.0/8`, or a name of such. */
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
 * Fills in what is missing.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` where fields contradict each other.
 */
export function settingsOf(config: ServerConfig): Settings {
  checked(configSchema, config, 'the configuration');
  const models = (config.models ?? []).map((model) => ({ ...model, id: idOf(model) }));
  if (models.length === 0) throw new DpmError('ERR_DPM_CONFIG', 'there is no model to serve');
  const twice = models.find(({ id }, i) => models.findIndex((other) => other.id === id) < i);
  if (twice !== undefined) throw new DpmError('ERR_DPM_CONFIG', `two models have the id ${twice.id}`);
  const settings: Settings = {
    models,
    host: config.host ?? '127.0.0.1',
    port: config.port ?? 8080,
    tokens: config.tokens,
    requestsPerMinute: config.requestsPerMinute ?? Infinity,
    insecure: config.insecure ?? false,
    maxWait: config.maxWait ?? 30_000,
    memory: config.memory ?? Infinity,
    modelRoots: config.modelRoots ?? [],
    drain: config.drain ?? 30_000,
    spool: config.spool,
    queue: config.queue,
    results: config.results,
    keep: config.keep ?? KEEP,
    deterministic: config.deterministic ?? false,
    cors: config.cors ?? [],
    metricsPort: config.metricsPort,
    page: config.page ?? true,
    trustProxy: config.trustProxy ?? [],
    logLevel: config.logLevel ?? 'info',
  };
  requireAll('cors', settings.cors, isOrigin, 'origins, as https://example.org');
  requireAll('trustProxy', settings.trustProxy, isRange, 'addresses or ranges of them, as 10.0.0.0/8');
  if (settings.metricsPort === settings.port && settings.port !== 0) {
    throw new DpmError('ERR_DPM_CONFIG', `metricsPort is ${settings.port}, which is the port of the other routes`);
  }
  if (settings.tokens === undefined && !settings.insecure && !loopback.has(settings.host)) {
    throw new DpmError(
      'ERR_DPM_CONFIG',
      `host ${settings.host} is for others, too: it takes tokens, or insecure to serve everybody`,
    );
  }
  requireOneStore(settings);
  return settings;
}

function requireOneStore({ spool, queue, results }: Settings): void {
  if (spool !== undefined && queue !== undefined) {
    throw new DpmError('ERR_DPM_CONFIG', 'spool and queue: jobs have one place');
  }
  if ((queue === undefined) !== (results === undefined)) {
    throw new DpmError('ERR_DPM_CONFIG', 'queue and results belong together: workers keep samples there');
  }
}
