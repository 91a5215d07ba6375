import { isDeepStrictEqual } from 'node:util';

import { DpmError } from 'dpm-native';
import type { FastifyBaseLogger } from 'fastify';

import { settingsOf } from '../config/config.js';
import { failureOf } from '../base/problem.js';
import type { Registry } from './registry.js';
import type { ServerConfig, Settings } from '../config/settings.js';

/** The server whose configuration is read again. */
export interface Reloading {
  readonly settings: Settings;
  readonly registry: Registry;
  readonly state: { readonly isDraining: boolean };
}

/** The result of reading a configuration again. */
export interface Reloaded {
  /** Ids of models that are new or have changed. */
  loaded: string[];
  /** Ids of models that were removed. */
  removed: string[];
  /** The errors of models that could not be loaded, by their ids. Their older versions are still served. */
  failed: Map<string, unknown>;
  /** Names of settings that have changed and take effect only after a restart. */
  restart: string[];
}

type Models = Settings['models'];

const codeOf = (error: unknown): string => failureOf(error, '').problem.code;

/** Loads models one after the other, and returns the errors of those that fail. */
async function putAll(registry: Registry, models: Models): Promise<Map<string, unknown>> {
  const failed = new Map<string, unknown>();
  for (const model of models) {
    await registry.put(model.id, model, { isConfigured: true }).catch((error: unknown) => failed.set(model.id, error));
  }
  return failed;
}

async function differing(registry: Registry, models: Models): Promise<Models> {
  const known = await Promise.all(models.map((model) => registry.adopt(model.id, model)));
  return models.filter((_, i) => known[i] !== true);
}

async function reloadModels(registry: Registry, models: Models): Promise<Omit<Reloaded, 'restart'>> {
  const wanted = await differing(registry, models);
  let failed = await putAll(registry, wanted);
  const removed = registry.configured.filter((id) => models.every((model) => model.id !== id));
  // A client may have removed it already.
  await Promise.all(removed.map((id) => registry.remove(id).catch(() => undefined)));
  const refused = wanted.filter(({ id }) => failed.has(id) && codeOf(failed.get(id)) === 'ERR_DPM_OUT_OF_MEMORY');
  if (removed.length > 0 && refused.length > 0) {
    // The removed models may have taken the memory that these need.
    await registry.left();
    const again = await putAll(registry, refused);
    failed = new Map([...failed].filter(([id]) => again.has(id) || refused.every((model) => model.id !== id)));
  }
  registry.unloadable = new Map([...failed].map(([id, error]) => [id, codeOf(error)]));
  const loaded = wanted.map(({ id }) => id).filter((id) => !failed.has(id));
  return { loaded, removed, failed };
}

/**
 * Serves the models of a configuration: loads new and changed ones beside those that are served, and removes those that it no longer has.
 * Models that clients have put stay.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` where the configuration is wrong, `ERR_DPM_CLOSED` at the end of the server; nothing changes then.
 */
export async function reload(server: Reloading, log: FastifyBaseLogger, config: ServerConfig): Promise<Reloaded> {
  const { settings, registry, state } = server;
  if (state.isDraining) throw new DpmError('ERR_DPM_CLOSED', 'the server is about to end');
  const wanted = settingsOf(config);
  const restart = (Object.keys(wanted) as (keyof Settings)[]).filter(
    (name) => name !== 'models' && !isDeepStrictEqual(wanted[name], settings[name]),
  );
  if (restart.length > 0) log.warn({ settings: restart }, 'settings have changed, which takes a restart');
  const { loaded, removed, failed } = await reloadModels(registry, wanted.models);
  for (const [model, error] of failed) log.error({ err: error, model }, 'a model was not loaded');
  log.info({ loaded, removed }, 'the configuration was read again');
  return { loaded, removed, failed, restart };
}
