import { DpmError } from 'dpm-native';

import { readConfig } from '../config/config.js';
import { givenFields, optionSpecs } from '../config/flag.js';
import type { Server } from '../index.js';
import { modelFields, type ModelConfig } from '../config/model-config.js';
import type { OptionSpecs, OptionValues } from '../config/option.js';
import {
  listeningFields,
  servingFields,
  settingsFields,
  workingFields,
  type ServerConfig,
} from '../config/settings.js';
import { usageError, type Call, type Command } from './command.js';

/** Reads an argument `path` or `id=path`. */
function modelOf(argument: string, options: OptionValues): ModelConfig {
  const [, id, path = argument] = /^([\w.-]{1,64})=(.+)$/.exec(argument) ?? [];
  return { path, ...(id !== undefined && { id }), ...givenFields(modelFields, options) };
}

/** The niceness of engine threads. It lets the event loop answer at once while every core computes. */
const NICENESS = '10';

/** Merges the command line into the file's configuration and prefers the command line. Values are checked later, together. */
function configOf({ options, positionals }: Call, file: ServerConfig): ServerConfig {
  const models = positionals.map((argument) => modelOf(argument, options));
  return { ...file, ...givenFields(settingsFields, options), models: [...(file.models ?? []), ...models] };
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
  await runUntilInterrupted(call, (config) => Server.start(config));
}

/** Runs a server or a worker until the user interrupts. */
export async function runUntilInterrupted(call: Call, start: (config: ServerConfig) => Promise<Server>): Promise<void> {
  const file = call.options.string('config');
  const read = async (): Promise<ServerConfig> => configOf(call, file === undefined ? {} : await readConfig(file));
  const config = await read();
  process.env.DPM_NICE ??= NICENESS;
  if (config.models?.length === 0) throw usageError('give models to serve, or --config FILE');
  const server = await start(config);
  if (file !== undefined) server.follow(file, read);
  const { url, metricsUrl } = server;
  if (call.json) call.output.json({ url, ...(metricsUrl !== undefined && { metricsUrl }) });
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

/** The options of a server and of a worker. */
export const commonServerOptions: OptionSpecs = {
  config: { value: 'FILE', help: 'YAML or JSON with the same and more, docs/http.md' },
  ...optionSpecs(listeningFields),
  ...optionSpecs(modelFields),
  ...optionSpecs(workingFields),
};

/** The command `dpm serve`. */
export const serveCommand: Command = {
  name: 'serve',
  arguments: ['[MODEL…]'],
  options: {
    ...commonServerOptions,
    'new-token': { value: 'NAME', help: 'print a new token and its line for that file, and end' },
    ...optionSpecs(servingFields),
  },
  run: serve,
};
