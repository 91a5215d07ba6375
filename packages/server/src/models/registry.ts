import { isDeepStrictEqual } from 'node:util';

import { type BatcherOptions, type CompileElsewhere, DpmError } from 'dpm-native';

import type { ModelConfig } from '../config/model-config.js';
import { stateOfFiles } from './model-files.js';
import { nearest } from '../base/nearest.js';
import { ServerError } from '../base/problem.js';
import type { Settings } from '../config/settings.js';
import { closeAll, type LoadedModel, loadServed } from './load-served.js';
import type { ServedModel } from './served.js';
import { leastBytes } from './weight-bytes.js';

/** A loaded model, and what the registry knows of it. */
interface Loaded extends LoadedModel {
  /** The state of its files when it was loaded. */
  readonly files: string;
  /** True for a model of the configuration, false for one that a client has put. */
  isConfigured: boolean;
  readonly isPinned: boolean;
  /** The time of its last use, in milliseconds of `performance.now()`. */
  lastUsed: number;
}

/** Options for putting a model. */
export interface PutOptions {
  /** Allows the registry to drop idle models that are not pinned, least recently used first. */
  evict?: boolean;
  /** Marks a model of the configuration, which is removed once the configuration no longer has it. */
  isConfigured?: boolean;
}

/** A text that changes whenever a file of the model does. */
async function filesOf({ path, config, preview, loras = {} }: ModelConfig): Promise<string> {
  const others = [config, preview, ...Object.values(loras)];
  const states = others.map(async (each) => (each === undefined ? null : stateOfFiles(each)));
  return JSON.stringify([await stateOfFiles(path), ...(await Promise.all(states))]);
}

/** The bytes that all replicas hold, in main memory and on their devices. */
function bytesOf({ replicas }: Loaded): number {
  return replicas.reduce((sum, model) => {
    const { host, device } = model.memory();
    return sum + host + device;
  }, 0);
}

function withoutId({ id: _id, ...options }: ModelConfig): object {
  return options;
}

/** The models of a server, by their ids. */
export class Registry {
  readonly #settings: Settings;
  readonly #compile: CompileElsewhere | undefined;
  readonly #loaded = new Map<string, Loaded>();
  /** Models that were replaced or removed and still finish their requests, each with a promise of its end. */
  readonly #leaving = new Map<Loaded, Promise<void>>();
  /** The end of the last change: changes run one after the other. */
  #change: Promise<unknown> = Promise.resolve();
  /** Models whose card has failed. */
  readonly #failed = new WeakSet<ServedModel>();
  readonly #listeners = new Set<() => void>();
  #unloadable = new Map<string, string>();
  #isClosed = false;

  private constructor(settings: Settings, compile: CompileElsewhere | undefined) {
    this.#settings = settings;
    this.#compile = compile;
  }

  get #all(): Loaded[] {
    return [...this.#loaded.values(), ...this.#leaving.keys()];
  }

  /** The models that take requests, in the order in which they were loaded. */
  get models(): readonly ServedModel[] {
    return [...this.#loaded.values()].map(({ served }) => served);
  }

  /** The models that take or still finish requests. */
  get working(): readonly ServedModel[] {
    return this.#all.map(({ served }) => served);
  }

  /** The bytes that all models hold, including those that finish their last requests. */
  get bytes(): number {
    return this.#all.reduce((sum, loaded) => sum + bytesOf(loaded), 0);
  }

  /** The number of requests of all models that are not done. */
  get unfinished(): number {
    return this.working.reduce((sum, { batcher }) => sum + batcher.stats().unfinished, 0);
  }

  /**
   * Loads the models of a configuration. If one fails, all are closed again.
   *
   * @param compile - Makes long programs of requests in another thread.
   * @throws {@link DpmError} as {@link loadServed} does.
   */
  static async open(settings: Settings, compile?: CompileElsewhere): Promise<Registry> {
    const registry = new Registry(settings, compile);
    try {
      for (const config of settings.models) await registry.put(config.id, config, { isConfigured: true });
    } catch (error) {
      await registry.close();
      throw error;
    }
    return registry;
  }

  /**
   * Loads a model, which then takes the requests to its id. The model before it finishes its own. If loading fails, nothing changes.
   *
   * @throws {@link DpmError} as {@link loadServed} does, `ERR_DPM_OUT_OF_MEMORY` where it does not fit into the budget.
   */
  put(id: string, config: ModelConfig, { evict = false, isConfigured = false }: PutOptions = {}): Promise<ServedModel> {
    return this.#changed(async () => {
      this.#requireOpen();
      // A model that cannot fit is not loaded at all, as loading it would already take memory from others.
      this.#evictable(id, await leastBytes(config), evict);
      const loaded = { ...(await this.#load(id, config)), isConfigured };
      try {
        this.#requireOpen();
        await this.#makeRoom(id, loaded, evict);
      } catch (error) {
        await closeAll(loaded.replicas);
        throw error;
      }
      const before = this.#loaded.get(id);
      this.#loaded.set(id, loaded);
      this.#unloadable.delete(id);
      if (before !== undefined) this.#leave(before);
      this.#tell();
      return loaded.served;
    });
  }

  /**
   * Removes a model, which finishes its requests.
   *
   * @throws {@link ServerError} `ERR_DPM_NOT_FOUND`.
   */
  remove(id: string): Promise<void> {
    return this.#changed(() => {
      const loaded = this.#entry(id);
      this.#loaded.delete(id);
      this.#unloadable.delete(id);
      this.#leave(loaded);
      this.#tell();
      return Promise.resolve();
    });
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  async #load(id: string, config: ModelConfig): Promise<Omit<Loaded, 'isConfigured'>> {
    // The state is taken before loading, so that a change during loading is noticed later.
    const files = await filesOf(config);
    const loaded = await loadServed(id, config, this.#batching(config));
    return { ...loaded, files, isPinned: config.pinned ?? false, lastUsed: performance.now() };
  }

  #batching(config: ModelConfig): BatcherOptions {
    return {
      rows: config.rows,
      maxWait: config.maxWait ?? this.#settings.maxWait,
      sizes: this.#settings.deterministic ? 'one' : 'fit',
      ...(this.#compile !== undefined && { compile: this.#compile }),
    };
  }

  /** The idle models that may be dropped, least recently used first. */
  #idle(but: string): [string, Loaded][] {
    return [...this.#loaded]
      .filter(([id, { served, isPinned }]) => id !== but && !isPinned && served.batcher.stats().unfinished === 0)
      .sort(([, a], [, b]) => a.lastUsed - b.lastUsed);
  }

  #requireOpen(): void {
    if (this.#isClosed) throw new DpmError('ERR_DPM_CLOSED', 'the server is about to end');
  }

  /** The models to be dropped so that a number of bytes fits. */
  #evictable(id: string, needed: number, evict: boolean): [string, Loaded][] {
    const { memory } = this.#settings;
    const evicted: [string, Loaded][] = [];
    const idle = evict ? this.#idle(id) : [];
    const held = (): number => this.bytes - evicted.reduce((sum, [, each]) => sum + bytesOf(each), 0);
    while (held() + needed > memory) {
      const next = idle.shift();
      if (next === undefined) {
        throw new DpmError(
          'ERR_DPM_OUT_OF_MEMORY',
          `the model takes ${needed} bytes, ${held()} of ${memory} are taken`,
        );
      }
      evicted.push(next);
    }
    return evicted;
  }

  async #makeRoom(id: string, loaded: Loaded, evict: boolean): Promise<void> {
    const evicted = this.#evictable(id, bytesOf(loaded), evict);
    // All leave the map at once, so that none of them takes another request.
    for (const [each] of evicted) this.#loaded.delete(each);
    await Promise.all(evicted.map(([, { replicas }]) => closeAll(replicas)));
  }

  /** Tells whether a model of the configuration is already served, with the same files and options, and marks it as configured. */
  async adopt(id: string, config: ModelConfig): Promise<boolean> {
    const loaded = this.#loaded.get(id);
    if (loaded === undefined || !isDeepStrictEqual(withoutId(loaded.served.config), withoutId(config))) return false;
    if (loaded.files !== (await filesOf(config))) return false;
    loaded.isConfigured = true;
    return true;
  }

  /** The ids of the models that the configuration has. */
  get configured(): readonly string[] {
    return [...this.#loaded].filter(([, { isConfigured }]) => isConfigured).map(([id]) => id);
  }

  /** The models of the configuration that could not be loaded, each with the code of its error. */
  get unloadable(): ReadonlyMap<string, string> {
    return this.#unloadable;
  }

  set unloadable(codes: ReadonlyMap<string, string>) {
    this.#unloadable = new Map(codes);
  }

  /** Waits until the models that were replaced or removed have finished their requests. */
  async left(): Promise<void> {
    await Promise.all(this.#leaving.values());
  }

  /** Runs a change after those before it. */
  #changed<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#change.then(change);
    this.#change = done.catch(() => undefined);
    return done;
  }

  #leave(loaded: Loaded): void {
    const { served, replicas } = loaded;
    const left = served.batcher
      .drain()
      .then(() => served.batcher.close())
      .then(() => closeAll(replicas))
      // Closing may fail where the card has failed.
      .catch(() => undefined)
      .finally(() => this.#leaving.delete(loaded));
    this.#leaving.set(loaded, left);
  }

  #entry(id: string): Loaded {
    const loaded = this.#loaded.get(id);
    if (loaded !== undefined) return loaded;
    const ids = [...this.#loaded.keys()];
    const problem = `there is no model of that name${nearest(id, ids)}; there are: ${ids.join(', ')}`;
    throw new ServerError('ERR_DPM_NOT_FOUND', problem, { param: 'model' });
  }

  /**
   * The model of an id.
   *
   * @throws {@link ServerError} `ERR_DPM_NOT_FOUND`.
   */
  get(id: string): ServedModel {
    return this.#entry(id).served;
  }

  /** The model of an id, whose use by a request is noted. */
  use(id: string): ServedModel {
    const loaded = this.#entry(id);
    loaded.lastUsed = performance.now();
    return loaded.served;
  }

  /** The ids of the models whose card has failed. */
  get failed(): readonly string[] {
    return this.models.filter((served) => this.#failed.has(served)).map(({ id }) => id);
  }

  /** Notes a model whose card has failed, as an error of a request tells. */
  noteError(served: ServedModel, error: unknown): void {
    if (error instanceof DpmError && error.code === 'ERR_DPM_DEVICE') this.#failed.add(served);
  }

  /** Calls back whenever models have come or gone. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Waits until all batchers have finished their requests. They take no new ones. */
  async drain(): Promise<void> {
    await Promise.all([...this.models.map(({ batcher }) => batcher.drain()), ...this.#leaving.values()]);
  }

  /** Ends all requests and closes the models. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.working.map(({ batcher }) => batcher.close()));
    await this.#change;
    await Promise.all([...this.#all.map(({ replicas }) => closeAll(replicas)), ...this.#leaving.values()]);
  }
}
