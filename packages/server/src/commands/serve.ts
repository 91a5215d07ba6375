import { DpmError } from 'dpm-native';

import { readConfig, type ModelConfig, type ServerConfig } from '../config.js';
import type { Server } from '../index.js';
import { usageError, type Call, type Command, type OptionSpecs, type OptionValues } from './command.js';

/** `path`, or `id=path`. */
function modelOf(argument: string, options: OptionValues): ModelConfig {
  const [, id, path = argument] = /^([\w.-]{1,64})=(.+)$/.exec(argument) ?? [];
  const rows = options.string('rows');
  const given = {
    ...(id !== undefined && { id }),
    device: options.string('device'),
    dtype: options.string('dtype'),
    threads: options.integer('threads'),
    rows: rows === undefined || rows === 'auto' ? rows : options.integer('rows'),
  };
  return { path, ...present(given) };
}

function present(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** How much nicer than the event loop engines are: it answers at once, while every core computes. */
const NICENESS = '10';

const SECOND = 1000;
const DAY = 86_400_000;

/** Milliseconds of an option that is given in another unit. */
function milliseconds(options: OptionValues, name: string, unit: number): number | undefined {
  const value = options.number(name);
  return value === undefined ? undefined : unit * value;
}

/** What the command line says, which goes before the file. */
function configOf(call: Call, file: ServerConfig): ServerConfig {
  const { options, positionals } = call;
  const models = positionals.map((argument) => modelOf(argument, options));
  const given = {
    host: options.string('host'),
    port: options.integer('port'),
    tokens: options.string('tokens'),
    maxWait: milliseconds(options, 'max-wait', SECOND),
    drain: milliseconds(options, 'drain', SECOND),
    memory: options.bytes('memory'),
    cors: options.strings('cors'),
    trustProxy: options.strings('trust-proxy'),
    metricsPort: options.integer('metrics-port'),
    page: options.flag('no-page') ? false : undefined,
    deterministic: options.flag('deterministic') || undefined,
    insecure: options.flag('insecure') || undefined,
    logLevel: options.string('log-level'),
    spool: options.string('spool'),
    queue: options.string('queue'),
    results: options.string('results'),
    keep: milliseconds(options, 'keep', DAY),
  };
  return { ...file, ...present(given), models: [...(file.models ?? []), ...models] };
}

async function serve(call: Call): Promise<void> {
  const { Server, newToken } = await import('../index.js');
  const name = call.options.string('new-token');
  if (name !== undefined) {
    if (!/^[\w.-]{1,64}$/.test(name))
      throw usageError(`--new-token is '${name}', it has to be letters, digits, . and -`);
    const { token, entry } = newToken(name);
    if (call.json) call.output.json({ token, entry });
    else call.output.line(`${token}\n\n${entry}`);
    return;
  }
  await runUntilInterrupted(call, (config) => Server.start(config), { reloads: true });
}

/** Runs a server or a worker of the configuration until it is told to end. */
export async function runUntilInterrupted(
  call: Call,
  start: (config: ServerConfig) => Promise<Server>,
  { reloads }: { reloads: boolean },
): Promise<void> {
  const file = call.options.string('config');
  const read = async (): Promise<ServerConfig> => configOf(call, file === undefined ? {} : await readConfig(file));
  const config = await read();
  process.env.DPM_NICE ??= NICENESS;
  if (config.models?.length === 0) throw usageError('it takes models, or --config');
  const server = await start(config);
  if (file !== undefined && reloads) server.follow(file, read);
  const { url, metricsUrl } = server;
  if (call.json) call.output.json({ url, ...present({ metricsUrl }) });
  else {
    const lines = [`serving at ${url}`, ...(metricsUrl === undefined ? [] : [`metrics at ${metricsUrl}`])];
    call.output.line(lines.join('\n'));
  }
  await new Promise((resolve) => {
    call.signal.addEventListener('abort', resolve, { once: true });
    if (call.signal.aborted) resolve(null);
  });
  if (!(await server.stop())) throw new DpmError('ERR_DPM_CLOSED', 'requests were cut: they took longer than --drain');
}

/** Of a server, and of a worker. */
export const commonServerOptions: OptionSpecs = {
  config: { value: 'FILE', help: 'YAML or JSON with the same and more, docs/http.md' },
  host: { value: 'HOST', help: 'address to listen at, default 127.0.0.1; another takes --tokens or --insecure' },
  port: { value: 'N', help: 'default 8080; 0: any that is free' },
  tokens: { value: 'FILE', help: 'YAML list of tokens, which has to be readable by its owner alone' },
  insecure: { help: 'serve others than this machine without tokens' },
  device: { value: 'NAME', help: 'auto, cpu, cuda, cuda:1, ...; default auto' },
  dtype: { value: 'TYPE', help: 'f32, bf16 or f16' },
  threads: { value: 'N', help: 'threads of the cpu device, default as many as there are, from four on one less' },
  rows: { value: 'N', help: 'rows of a step at most, or auto (measured at the start), the default' },
  deterministic: { help: "on a card, too, a sample's bits do not depend on other requests" },
  drain: { value: 'SECONDS', help: 'for accepted work after SIGTERM, default 30' },
  queue: { value: 'URL', help: 'redis://..., where jobs wait for workers' },
  results: { value: 'URL', help: 'where workers keep samples: file:///folder or s3://bucket/prefix' },
  memory: { value: 'SIZE', help: 'bytes that all models may hold, as 8GiB or 512MiB' },
  'trust-proxy': { value: 'CIDR', isRepeated: true, help: 'addresses of proxies whose X-Forwarded-For counts' },
  'metrics-port': { value: 'N', help: '/metrics is at this port then, without tokens, and not at the other' },
  'log-level': { value: 'LEVEL', help: 'fatal, error, warn, info (default), debug, trace, silent' },
};

export const serveCommand: Command = {
  name: 'serve',
  arguments: ['[MODEL…]'],
  options: {
    ...commonServerOptions,
    'new-token': { value: 'NAME', help: 'print a new token and its line for that file, and end' },
    'max-wait': { value: 'SECONDS', help: 'expected wait from which on requests are refused, default 30' },
    spool: {
      value: 'DIR',
      help: 'folder for jobs that this server draws itself; without it and --queue there are none',
    },
    keep: { value: 'DAYS', help: 'jobs that are over are kept for, default 7' },
    cors: { value: 'ORIGIN', isRepeated: true, help: 'origin whose pages may ask, as https://example.org' },
    'no-page': { help: 'serve no page at /' },
  },
  run: serve,
};
