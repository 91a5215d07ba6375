import { isDeepStrictEqual } from 'node:util';

import { type BatcherOptions, type BatchService, createBatcher, DiffusionModel, DpmError } from 'dpm-native';

import type { ModelConfig } from '../config/model-config.js';
import { stateOfFiles } from './model-files.js';
import { loadOptions } from '../config/load-options.js';
import { ServerError } from '../base/problem.js';
import type { Settings } from '../config/settings.js';
import { leastBytes } from './weight-bytes.js';

/** A model that takes requests. */
export interface ServedModel {
  readonly id: string;
  readonly digest: string;
  /** As it was loaded. */
  readonly config: ModelConfig;
  /** The first of its replicas, which all are alike. */
  readonly model: DiffusionModel;
  readonly batcher: BatchService;
  /** Names of its classes; those of a network without labels have none. */
  readonly labels: readonly string[];
  /** Seconds since the epoch. */
  readonly created: number;
}

/** A model with what it holds. */
interface Loaded {
  readonly served: ServedModel;
  /** Of its files, when it was loaded. */
  readonly files: string;
  /** Whether it is in the configuration, and not of a client alone. */
  isConfigured: boolean;
  readonly replicas: readonly DiffusionModel[];
  readonly isPinned: boolean;
  /** Milliseconds of `performance.now()`. */
  lastUsed: number;
}

/** How a model is put in its place. */
export interface PutOptions {
  /** Idle models that are not pinned may go for it, the one that was used longest ago first. */
  evict?: boolean;
  /** It is in the configuration, and goes when it is there no more. */
  isConfigured?: boolean;
}

/** What changes when a file of a model does. */
async function filesOf({ path, config }: ModelConfig): Promise<string> {
  return JSON.stringify([await stateOfFiles(path), config === undefined ? null : await stateOfFiles(config)]);
}

/** Bytes of its devices, in main memory and their own. Replicas have devices of their own. */
function bytesOf({ replicas }: Loaded): number {
  return replicas.reduce((sum, model) => {
    const { host, device } = model.memory();
    return sum + host + device;
  }, 0);
}

function withoutId({ id: _id, ...options }: ModelConfig): object {
  return options;
}

async function closeAll(replicas: readonly DiffusionModel[]): Promise<void> {
  await Promise.all(replicas.map((model) => model.close()));
}

/** The models of a server, by their ids. */
export class Registry {
  readonly #settings: Settings;
  readonly #loaded = new Map<string, Loaded>();
  /** Models that have been replaced and still have something to do, until they are closed. */
  readonly #leaving = new Map<Loaded, Promise<void>>();
  /** Changes come one after the other. */
  #change: Promise<unknown> = Promise.resolve();
  /** Those whose card has failed. */
  readonly #failed = new WeakSet<ServedModel>();
  readonly #listeners = new Set<() => void>();
  #unloadable = new Map<string, string>();
  #isClosed = false;

  private constructor(settings: Settings) {
    this.#settings = settings;
  }

  get #all(): Loaded[] {
    return [...this.#loaded.values(), ...this.#leaving.keys()];
  }

  /** All that take requests, in the order in which they came. */
  get models(): readonly ServedModel[] {
    return [...this.#loaded.values()].map(({ served }) => served);
  }

  /** All that have something to do or may get it: those that are about to go included. */
  get working(): readonly ServedModel[] {
    return this.#all.map(({ served }) => served);
  }

  /** Bytes that all models hold, those that are about to go included. */
  get bytes(): number {
    return this.#all.reduce((sum, loaded) => sum + bytesOf(loaded), 0);
  }

  /** Requests of all models that are not done. */
  get unfinished(): number {
    return this.working.reduce((sum, { batcher }) => sum + batcher.stats().unfinished, 0);
  }

  /**
   * Loads the models of a configuration. Where one fails, all are given up.
   *
   * @throws {@link DpmError} as `DiffusionModel.load` and `model.batcher` do.
   */
  static async open(settings: Settings): Promise<Registry> {
    const registry = new Registry(settings);
    try {
      for (const config of settings.models) await registry.put(config.id, config, { isConfigured: true });
    } catch (error) {
      await registry.close();
      throw error;
    }
    return registry;
  }

  /**
   * Loads a model, which then takes the requests of its id; the one before finishes those that it has. Where that fails nothing changes.
   *
   * @throws {@link DpmError} as `DiffusionModel.load` and `model.batcher` do, `ERR_DPM_OUT_OF_MEMORY` where it does not fit into the budget.
   */
  put(id: string, config: ModelConfig, { evict = false, isConfigured = false }: PutOptions = {}): Promise<ServedModel> {
    return this.#changed(async () => {
      this.#requireOpen();
      // What cannot fit is not loaded first: others would have less memory than they count on.
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
      for (const listener of this.#listeners) listener();
      return loaded.served;
    });
  }

  /**
   * Takes a model away; it finishes the requests that it has.
   *
   * @throws {@link ServerError} `ERR_DPM_NOT_FOUND`.
   */
  remove(id: string): Promise<void> {
    return this.#changed(() => {
      const loaded = this.#entry(id);
      this.#loaded.delete(id);
      this.#unloadable.delete(id);
      this.#leave(loaded);
      return Promise.resolve();
    });
  }

  async #load(id: string, config: ModelConfig): Promise<Omit<Loaded, 'isConfigured'>> {
    // Before they are read, so that a later change is none that was read.
    const files = await filesOf(config);
    const replicas: DiffusionModel[] = [];
    try {
      for (let i = 0; i < (config.engines ?? 1); ++i) {
        replicas.push(await DiffusionModel.load(config.path, loadOptions(config)));
      }
      const [model] = replicas;
      if (model === undefined) throw new DpmError('ERR_DPM_INTERNAL', 'a model has no replica');
      const options = this.#batching(config);
      const batcher = replicas.length === 1 ? await model.batcher(options) : await createBatcher(replicas, options);
      const digest = await model.digest();
      const created = Math.floor(Date.now() / 1000);
      const served = { id, digest, config, model, batcher, labels: config.labels ?? [], created };
      return { served, files, replicas, isPinned: config.pinned ?? false, lastUsed: performance.now() };
    } catch (error) {
      await closeAll(replicas);
      throw error;
    }
  }

  #batching(config: ModelConfig): BatcherOptions {
    return {
      rows: config.rows ?? 'auto',
      maxWait: config.maxWait ?? this.#settings.maxWait,
      sizes: this.#settings.deterministic ? 'one' : 'fit',
    };
  }

  /** Idle models that may go, the one that was used longest ago first. */
  #idle(but: string): [string, Loaded][] {
    return [...this.#loaded]
      .filter(([id, { served, isPinned }]) => id !== but && !isPinned && served.batcher.stats().unfinished === 0)
      .sort(([, a], [, b]) => a.lastUsed - b.lastUsed);
  }

  #requireOpen(): void {
    if (this.#isClosed) throw new DpmError('ERR_DPM_CLOSED', 'the server is about to end');
  }

  /** The models that have to go for so many bytes. */
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
    // At once, so that none of them takes a request in between.
    for (const [each] of evicted) this.#loaded.delete(each);
    await Promise.all(evicted.map(([, { replicas }]) => closeAll(replicas)));
  }

  /** Whether a model of the configuration is served already, of the same files with the same options. */
  async adopt(id: string, config: ModelConfig): Promise<boolean> {
    const loaded = this.#loaded.get(id);
    if (loaded === undefined || !isDeepStrictEqual(withoutId(loaded.served.config), withoutId(config))) return false;
    if (loaded.files !== (await filesOf(config))) return false;
    loaded.isConfigured = true;
    return true;
  }

  /** Ids of models that are in the configuration. */
  get configured(): readonly string[] {
    return [...this.#loaded].filter(([, { isConfigured }]) => isConfigured).map(([id]) => id);
  }

  /** Models of the configuration that could not be loaded, with the code of the error. */
  get unloadable(): ReadonlyMap<string, string> {
    return this.#unloadable;
  }

  set unloadable(codes: ReadonlyMap<string, string>) {
    this.#unloadable = new Map(codes);
  }

  /** Waits until the models that have been replaced or taken away have done what they had to do. */
  async left(): Promise<void> {
    await Promise.all(this.#leaving.values());
  }

  /** Does one change after the other. */
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
      // A card that has failed may not be closed in good order either.
      .catch(() => undefined)
      .finally(() => this.#leaving.delete(loaded));
    this.#leaving.set(loaded, left);
  }

  #entry(id: string): Loaded {
    const loaded = this.#loaded.get(id);
    if (loaded !== undefined) return loaded;
    const ids = [...this.#loaded.keys()].join(', ');
    throw new ServerError('ERR_DPM_NOT_FOUND', `there is no model of that name; there are: ${ids}`, { param: 'model' });
  }

  /**
   * The model of an id.
   *
   * @throws {@link ServerError} `ERR_DPM_NOT_FOUND`.
   */
  get(id: string): ServedModel {
    return this.#entry(id).served;
  }

  /** The same for a request that makes it work. */
  use(id: string): ServedModel {
    const loaded = this.#entry(id);
    loaded.lastUsed = performance.now();
    return loaded.served;
  }

  /** Ids of models whose card has failed. */
  get failed(): readonly string[] {
    return this.models.filter((served) => this.#failed.has(served)).map(({ id }) => id);
  }

  /** Notes what an error of a request says of its model. */
  noteError(served: ServedModel, error: unknown): void {
    if (error instanceof DpmError && error.code === 'ERR_DPM_DEVICE') this.#failed.add(served);
  }

  /** Calls back whenever a model has come. */
  onLoaded(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Waits until the batchers have done what they have accepted; they take nothing more. */
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
