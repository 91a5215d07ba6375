import { optionFacts } from 'dpm-native';
import Type, { type Static, type TSchema } from 'typebox';

import { bytesFlag, integerFlag, offSwitchFlag, switchFlag, textFlag, textsFlag, timeFlag, type Flag } from './flag.js';
import { modelSchema, type ModelConfig } from './model-config.js';

/** A field of the configuration. */
interface Field<S extends TSchema = TSchema> {
  /** The values that it may have. */
  readonly schema: S;
  /** The option of the command line; absent: only a configuration file has it. */
  readonly flag?: Flag;
}

/** A field with a default. */
interface FieldWithDefault<S extends TSchema = TSchema> extends Field<S> {
  readonly standard: Static<S>;
}

function field<S extends TSchema>(described: FieldWithDefault<S>): FieldWithDefault<S>;
function field<S extends TSchema>(described: Field<S>): Field<S>;
function field(described: Field): Field {
  return described;
}

const SECOND = 1000;
const DAY = 86_400_000;

/** Milliseconds that jobs are kept for when they are over, unless the configuration says otherwise: a week. */
export const KEEP = 7 * DAY;

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

const text = Type.String({ minLength: 1 });
const texts = Type.Array(text);
const port = Type.Integer({ minimum: 0, maximum: 65_535 });
const milliseconds = Type.Number({ minimum: 0 });

/** The fields that say where a server or a worker listens, and to which clients. */
export const listeningFields = {
  host: field({
    schema: text,
    standard: '127.0.0.1',
    flag: textFlag(
      'HOST',
      (standard) => `address to listen at, default ${standard}; another takes --tokens or --insecure`,
    ),
  }),
  port: field({
    schema: port,
    standard: 8080,
    flag: integerFlag('N', (standard) => `default ${standard}; 0: any that is free`),
  }),
  /** The path of a file. */
  tokens: field({
    schema: text,
    flag: textFlag('FILE', 'YAML list of tokens, which has to be readable by its owner alone'),
  }),
  insecure: field({
    schema: Type.Boolean(),
    standard: false,
    flag: switchFlag('serve others than this machine without tokens'),
  }),
};

/** The fields that say how a server or a worker runs its models. */
export const workingFields = {
  deterministic: field({
    schema: Type.Boolean(),
    standard: false,
    flag: switchFlag("on a card, too, a sample's bits do not depend on other requests"),
  }),
  drain: field({
    schema: milliseconds,
    standard: 30 * SECOND,
    flag: timeFlag('SECONDS', SECOND, (standard) => `for accepted work after SIGTERM, default ${standard}`),
  }),
  queue: field({
    schema: Type.String({ pattern: '^rediss?://' }),
    flag: textFlag('URL', 'redis://..., where jobs wait for workers'),
  }),
  results: field({
    schema: Type.String({ pattern: '^(?:file|s3)://' }),
    flag: textFlag('URL', 'where workers keep samples: file:///folder or s3://bucket/prefix'),
  }),
  memory: field({
    schema: Type.Number({ exclusiveMinimum: 0 }),
    standard: Infinity,
    flag: bytesFlag('SIZE', 'bytes that all models may hold, as 8GiB or 512MiB'),
  }),
  trustProxy: field({
    schema: texts,
    standard: [],
    flag: textsFlag('CIDR', 'addresses of proxies whose X-Forwarded-For counts'),
  }),
  /** The port of `/metrics`. If it is undefined, the other routes' port has them. */
  metricsPort: field({
    schema: port,
    flag: integerFlag('N', '/metrics is at this port then, without tokens, and not at the other'),
  }),
  logLevel: field({
    schema: Type.Enum(logLevels),
    standard: 'info',
    flag: textFlag('LEVEL', (standard) =>
      logLevels.map((level) => (level === standard ? `${level} (default)` : level)).join(', '),
    ),
  }),
};

/** The fields that a server has and a worker has not. */
export const servingFields = {
  /** The default for models without a `maxWait` of their own. */
  maxWait: field({
    schema: milliseconds,
    standard: Number(optionFacts.batcher.maxWait.value),
    flag: timeFlag(
      'SECONDS',
      SECOND,
      (standard) => `expected wait from which on requests are refused, default ${standard}`,
    ),
  }),
  spool: field({
    schema: text,
    flag: textFlag('DIR', 'folder for jobs that this server draws itself; without it and --queue there are none'),
  }),
  keep: field({
    schema: milliseconds,
    standard: KEEP,
    flag: timeFlag('DAYS', DAY, (standard) => `jobs that are over are kept for, default ${standard}`),
  }),
  cors: field({
    schema: texts,
    standard: [],
    flag: textsFlag('ORIGIN', 'origin whose pages may ask, as https://example.org'),
  }),
  page: field({
    schema: Type.Boolean(),
    standard: true,
    flag: offSwitchFlag('no-page', 'serve no page at /'),
  }),
  /** The limit for an address, on a server without tokens. */
  requestsPerMinute: field({ schema: Type.Integer({ minimum: 1, maximum: 1e6 }), standard: Infinity }),
  /** Folders from which clients may load models while the server runs. */
  modelRoots: field({ schema: texts, standard: [] }),
};

/** All fields of the configuration but `models`. */
export const settingsFields = { ...listeningFields, ...workingFields, ...servingFields };

type Fields = typeof settingsFields;

/** The configuration that a server is started with, as in the file of `--config`. Times are in milliseconds, sizes in bytes. */
export type ServerConfig = { models?: ModelConfig[] } & { [Name in keyof Fields]?: Static<Fields[Name]['schema']> };

/** A configuration that has all fields. */
export type Settings = { models: (ModelConfig & { id: string })[] } & {
  [Name in keyof Fields]: Fields[Name] extends FieldWithDefault
    ? Static<Fields[Name]['schema']>
    : Static<Fields[Name]['schema']> | undefined;
};

const allFields: Readonly<Record<string, Field & Partial<FieldWithDefault>>> = settingsFields;

/** The schema of a {@link ServerConfig}. */
export const configSchema = Type.Object(
  {
    models: Type.Optional(Type.Array(modelSchema)),
    ...Object.fromEntries(Object.entries(allFields).map(([name, { schema }]) => [name, Type.Optional(schema)])),
  },
  { additionalProperties: false },
);

/** Fills the missing fields of a configuration with their defaults. */
export function complete(config: ServerConfig): Omit<Settings, 'models'> {
  const given: Readonly<Record<string, unknown>> = config;
  return Object.fromEntries(
    Object.entries(allFields).map(([name, { standard }]) => [name, given[name] ?? standard]),
  ) as Omit<Settings, 'models'>;
}
