// Tests of the table of fields: each has its default, its flag and the value that the flag makes.
import { describe, expect, it } from 'vitest';

import { commands } from '../../src/commands/index.js';
import type { OptionValues } from '../../src/config/option.js';
import { settingsOf } from '../../src/config/config.js';
import { givenFields, optionSpecs } from '../../src/config/flag.js';
import { modelFields } from '../../src/config/model-config.js';
import { mismatchOf } from '../../src/base/schema.js';
import { configSchema, settingsFields, type ServerConfig } from '../../src/config/settings.js';

const defaults = {
  host: '127.0.0.1',
  port: 8080,
  tokens: undefined,
  insecure: false,
  deterministic: false,
  drain: 30_000,
  queue: undefined,
  results: undefined,
  memory: Infinity,
  trustProxy: [],
  metricsPort: undefined,
  logLevel: 'info',
  maxWait: 30_000,
  spool: undefined,
  keep: 604_800_000,
  keepBytes: Infinity,
  cors: [],
  hosts: [],
  page: true,
  requestsPerMinute: Infinity,
  unfinishedJobs: 1000,
  unfinishedSamples: 10_000_000,
  resultBytes: 274_877_906_944,
  modelRoots: [],
};

const common = [
  ['config', 'FILE', 'YAML or JSON with the same and more, docs/http.md'],
  ['host', 'HOST', 'address to listen at; one for other machines takes --tokens or --insecure; default 127.0.0.1'],
  ['port', 'N', 'port to listen at, 0: any that is free; default 8080'],
  ['tokens', 'FILE', 'YAML list of tokens, a file that others may not read'],
  ['insecure', undefined, 'serve others than this machine without tokens'],
  ['device', 'NAME', 'auto (the best that can be used), cpu, cuda, cuda:N; default auto'],
  ['dtype', 'TYPE', 'f32, bf16, f16; default f32 on cpu, bf16 on cuda'],
  ['threads', 'N', 'threads of the engine, 0: as many as there are cores; default all cores, from four on one less'],
  [
    'rows',
    'N',
    'rows of a step at most, two of a guided sample; auto: measured when the batch is opened; default auto',
  ],
  ['deterministic', undefined, "on a card, too, a sample's bits do not depend on other requests"],
  ['drain', 'SECONDS', 'time for accepted work after SIGTERM; default 30'],
  ['queue', 'URL', 'redis://..., where jobs wait for workers'],
  ['results', 'URL', 'where workers keep samples: file:///folder or s3://bucket/prefix'],
  ['memory', 'SIZE', 'bytes that all models may hold, as 8GiB or 512MiB on the command line'],
  ['trust-proxy', 'CIDR…', 'addresses of proxies, or ranges of them, whose X-Forwarded-For counts'],
  ['metrics-port', 'N', '/metrics is at this port of the same host then, without tokens, and not at the other'],
  ['log-level', 'LEVEL', 'least severity that is logged: fatal, error, warn, info, debug, trace, silent; default info'],
];
const ofServer = [
  ['new-token', 'NAME', 'print a new token and its line for that file, and end'],
  [
    'max-wait',
    'SECONDS',
    'expected wait from which on requests are refused; a request that has waited a tenth longer is refused, too; default 30',
  ],
  ['spool', 'DIR', 'folder for jobs that this server draws itself; without it and --queue there are none'],
  ['keep', 'DAYS', 'time that jobs are kept for when they are over; default 7'],
  [
    'keep-bytes',
    'SIZE',
    'bytes that samples of all jobs may take, as 100GiB on the command line; the oldest that are over go first',
  ],
  ['cors', 'ORIGIN…', 'origins whose pages may ask, as https://example.org'],
  [
    'hosts',
    'NAME…',
    'further names of this server, as those of a proxy before it, that requests without tokens may have as Host',
  ],
  ['no-page', undefined, 'serve no page at / and no explorer at /docs'],
];

const shown = (name: 'serve' | 'worker') =>
  Object.entries(commands[name].options).map(([option, { value, isRepeated = false, help }]) => [
    option,
    isRepeated ? `${value}…` : value,
    help,
  ]);

/** A command line that a flag reads. */
function options(given: Readonly<Record<string, string | number | true | string[]>>): OptionValues {
  const as = (name: string, type: string): never => {
    const value = given[name];
    // The command line would refuse a value of another type.
    if (value !== undefined && typeof value !== type) throw new Error(`--${name} is no ${type}`);
    return value as never;
  };
  return {
    flag: (name) => given[name] === true,
    string: (name) => as(name, 'string'),
    strings: (name) => as(name, 'object'),
    number: (name) => as(name, 'number'),
    integer: (name) => as(name, 'number'),
    bytes: (name) => as(name, 'number'),
  };
}

describe('fields of the configuration', () => {
  it('have defaults, each as its schema wants it', () => {
    const { models: _, ...settings } = settingsOf({ models: [{ path: 'm' }] });
    expect(settings).toEqual(defaults);
    const finite = Object.fromEntries(Object.entries(defaults).filter(([, value]) => value !== Infinity));
    expect(mismatchOf(configSchema, JSON.parse(JSON.stringify(finite)))).toBeUndefined();
  });

  it('go before their defaults', () => {
    const others: ServerConfig = { port: 0, insecure: true, page: false, maxWait: 0, logLevel: 'warn', cors: [] };
    expect(settingsOf({ models: [{ path: 'm' }], ...others })).toMatchObject({ ...defaults, ...others });
  });

  it('are flags of dpm serve and dpm worker', () => {
    expect(shown('worker')).toEqual(common);
    expect(shown('serve')).toEqual([...common, ...ofServer]);
    const flags = Object.keys({ ...optionSpecs(settingsFields), ...optionSpecs(modelFields) });
    expect(['config', ...flags, 'new-token'].sort()).toEqual(Object.keys(commands.serve.options).sort());
    const unflagged = Object.entries(settingsFields).filter(([, field]) => !('flag' in field));
    expect(unflagged.map(([name]) => name)).toEqual([
      'requestsPerMinute',
      'unfinishedJobs',
      'unfinishedSamples',
      'resultBytes',
      'modelRoots',
    ]);
  });

  it('tell their default where it is another', () => {
    const { port, keep, logLevel } = settingsFields;
    const changed = { port: { ...port, standard: 9 }, keep: { ...keep, standard: 43_200_000 } };
    const level = { logLevel: { ...logLevel, standard: 'warn' } };
    expect(Object.values(optionSpecs({ ...changed, ...level })).map(({ help }) => help)).toEqual([
      'port to listen at, 0: any that is free; default 9',
      'time that jobs are kept for when they are over; default 0.5',
      'least severity that is logged: fatal, error, warn, info, debug, trace, silent; default warn',
    ]);
  });

  it('are what the command line says', () => {
    const config = givenFields(
      settingsFields,
      options({
        host: '::1',
        port: 1,
        tokens: 't',
        insecure: true,
        deterministic: true,
        drain: 1.5,
        queue: 'redis://q',
        results: 'file:///r',
        memory: 2048,
        'trust-proxy': ['::1'],
        'metrics-port': 2,
        'log-level': 'debug',
        'max-wait': 2,
        spool: 's',
        keep: 2,
        'keep-bytes': 4096,
        cors: ['https://a.example'],
        hosts: ['a.example'],
        'no-page': true,
      }),
    );
    expect(config).toEqual({
      host: '::1',
      port: 1,
      tokens: 't',
      insecure: true,
      deterministic: true,
      drain: 1500,
      queue: 'redis://q',
      results: 'file:///r',
      memory: 2048,
      trustProxy: ['::1'],
      metricsPort: 2,
      logLevel: 'debug',
      maxWait: 2000,
      spool: 's',
      keep: 172_800_000,
      keepBytes: 4096,
      cors: ['https://a.example'],
      hosts: ['a.example'],
      page: false,
    });
    expect(mismatchOf(configSchema, config)).toBeUndefined();
    expect(givenFields(settingsFields, options({}))).toEqual({});
  });

  it('of models are what the command line says', () => {
    const given = { device: 'cpu', dtype: 'bf16', threads: 2, rows: 'auto' };
    expect(givenFields(modelFields, options(given))).toEqual(given);
    expect(() => givenFields(modelFields, options({ rows: 'many' }))).toThrow('--rows is no number');
  });
});
