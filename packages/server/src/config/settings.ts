import { optionFacts } from 'dpm-native';
import Type, { type Static, type TSchema } from 'typebox';

import {
  bytesFlag,
  integerFlag,
  offSwitchFlag,
  switchFlag,
  textFlag,
  textsFlag,
  timeFlag,
  type DescribedField,
} from './flag.js';
import { modelSchema, type ModelConfig } from './model-config.js';

/** A field of the configuration. */
interface Field<S extends TSchema = TSchema> extends DescribedField {
  /** The values that it may have. */
  readonly schema: S;
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
const GIBIBYTE = 2 ** 30;

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
    help: 'address to listen at; one for other machines takes --tokens or --insecure',
    standard: '127.0.0.1',
    flag: textFlag('HOST'),
  }),
  port: field({
    schema: port,
    help: 'port to listen at, 0: any that is free',
    standard: 8080,
    flag: integerFlag('N'),
  }),
  tokens: field({
    schema: text,
    help: 'YAML list of tokens, a file that others may not read',
    flag: textFlag('FILE'),
  }),
  insecure: field({
    schema: Type.Boolean(),
    help: 'serve others than this machine without tokens',
    standard: false,
    flag: switchFlag(),
  }),
};

/** The fields that say how a server or a worker runs its models. */
export const workingFields = {
  deterministic: field({
    schema: Type.Boolean(),
    help: "on a card, too, a sample's bits do not depend on other requests",
    standard: false,
    flag: switchFlag(),
  }),
  drain: field({
    schema: milliseconds,
    help: 'time for accepted work after SIGTERM',
    standard: 30 * SECOND,
    flag: timeFlag('SECONDS', SECOND),
  }),
  queue: field({
    schema: Type.String({ pattern: '^rediss?://' }),
    help: 'redis://..., where jobs wait for workers',
    flag: textFlag('URL'),
  }),
  results: field({
    schema: Type.String({ pattern: '^(?:file|s3)://' }),
    help: 'where workers keep samples: file:///folder or s3://bucket/prefix',
    flag: textFlag('URL'),
  }),
  memory: field({
    schema: Type.Number({ exclusiveMinimum: 0 }),
    help: 'bytes that all models may hold, as 8GiB or 512MiB on the command line',
    standard: Infinity,
    flag: bytesFlag('SIZE'),
  }),
  trustProxy: field({
    schema: texts,
    help: 'addresses of proxies, or ranges of them, whose X-Forwarded-For counts',
    standard: [],
    flag: textsFlag('CIDR'),
  }),
  metricsPort: field({
    schema: port,
    help: '/metrics is at this port of the same host then, without tokens, and not at the other',
    flag: integerFlag('N'),
  }),
  logLevel: field({
    schema: Type.Enum(logLevels),
    help: `least severity that is logged: ${logLevels.join(', ')}`,
    standard: 'info',
    flag: textFlag('LEVEL'),
  }),
};

/** The limits of each tenant's jobs, which a token may have others of. */
export const quotaFields = {
  unfinishedJobs: field({
    schema: Type.Integer({ minimum: 0 }),
    help: 'jobs of a tenant that are not over',
    standard: 1000,
  }),
  unfinishedSamples: field({
    schema: Type.Integer({ minimum: 0 }),
    help: 'samples of these jobs',
    standard: 10_000_000,
  }),
  resultBytes: field({
    schema: Type.Integer({ minimum: 0 }),
    help: 'bytes that samples of all jobs of a tenant may take; its oldest jobs that are over go first',
    standard: 256 * GIBIBYTE,
  }),
};

/** The fields that a server has and a worker has not. */
export const servingFields = {
  /** The default for models without a `maxWait` of their own. */
  maxWait: field({
    schema: milliseconds,
    help: 'expected wait from which on requests are refused; a request that has waited a tenth longer is refused, too',
    standard: Number(optionFacts.batcher.maxWait.value),
    flag: timeFlag('SECONDS', SECOND),
  }),
  spool: field({
    schema: text,
    help: 'folder for jobs that this server draws itself; without it and --queue there are none',
    flag: textFlag('DIR'),
  }),
  keep: field({
    schema: milliseconds,
    help: 'time that jobs are kept for when they are over',
    standard: KEEP,
    flag: timeFlag('DAYS', DAY),
  }),
  keepBytes: field({
    schema: Type.Integer({ minimum: 0 }),
    help: 'bytes that samples of all jobs may take, as 100GiB on the command line; the oldest that are over go first',
    standard: Infinity,
    flag: bytesFlag('SIZE'),
  }),
  cors: field({
    schema: texts,
    help: 'origins whose pages may ask, as https://example.org',
    standard: [],
    flag: textsFlag('ORIGIN'),
  }),
  hosts: field({
    schema: texts,
    help: 'further names of this server, as those of a proxy before it, that requests without tokens may have as Host',
    standard: [],
    flag: textsFlag('NAME'),
  }),
  page: field({
    schema: Type.Boolean(),
    help: 'whether there is a page at / and an explorer of the API at /docs',
    standard: true,
    flag: offSwitchFlag('no-page', 'serve no page at / and no explorer at /docs'),
  }),
  requestsPerMinute: field({
    schema: Type.Integer({ minimum: 1, maximum: 1e6 }),
    help: 'requests of one address, on a server without tokens',
    standard: Infinity,
  }),
  ...quotaFields,
  modelRoots: field({
    schema: texts,
    help: 'folders from which clients may load models while the server runs',
    standard: [],
  }),
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
