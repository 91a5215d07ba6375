import { type BatcherOptions, type BatchService, createBatcher, DiffusionModel, type LoadOptions } from 'dpm-native';

import type { ModelConfig, Settings } from './config.js';
import { ServerError } from './problem.js';

/** A model that takes requests. */
export interface ServedModel {
  readonly id: string;
  readonly digest: string;
  /** The first of its replicas, which all are alike. */
  readonly model: DiffusionModel;
  readonly batcher: BatchService;
  /** Names of its classes; those of a network without labels have none. */
  readonly labels: readonly string[];
  /** Seconds since the epoch. */
  readonly created: number;
}

function loadOptions({ config, device, dtype, exact, threads }: ModelConfig): LoadOptions {
  return { config, device: device ?? 'auto', dtype, exact, threads };
}

/** The models of a server, by their ids. */
export class Registry {
  readonly #models = new Map<string, ServedModel>();
  readonly #closing: (() => Promise<void>)[] = [];

  /** All that are there, in the order of the configuration. */
  get models(): readonly ServedModel[] {
    return [...this.#models.values()];
  }

  /**
   * Loads the models of a configuration. Where one fails, all are given up.
   *
   * @throws {@link DpmError} as `DiffusionModel.load` and `model.batcher` do.
   */
  static async open(settings: Settings): Promise<Registry> {
    const registry = new Registry();
    try {
      for (const config of settings.models) await registry.#add(config, settings);
    } catch (error) {
      await registry.close();
      throw error;
    }
    return registry;
  }

  async #add(config: Settings['models'][number], settings: Settings): Promise<void> {
    const replicas: DiffusionModel[] = [];
    this.#closing.push(async () => {
      await Promise.all(replicas.map((model) => model.close()));
    });
    for (let i = 0; i < (config.engines ?? 1); ++i) {
      replicas.push(await DiffusionModel.load(config.path, loadOptions(config)));
    }
    const [model] = replicas;
    if (model === undefined) return;
    const options: BatcherOptions = {
      rows: config.rows ?? 'auto',
      maxWait: config.maxWait ?? settings.maxWait,
      sizes: settings.deterministic ? 'one' : 'fit',
    };
    const batcher = replicas.length === 1 ? await model.batcher(options) : await createBatcher(replicas, options);
    this.#models.set(config.id, {
      id: config.id,
      digest: await model.digest(),
      model,
      batcher,
      labels: config.labels ?? [],
      created: Math.floor(Date.now() / 1000),
    });
  }

  /**
   * The model of an id.
   *
   * @throws {@link ServerError} `ERR_DPM_NOT_FOUND`.
   */
  get(id: string): ServedModel {
    const model = this.#models.get(id);
    if (model !== undefined) return model;
    const ids = [...this.#models.keys()].join(', ');
    throw new ServerError('ERR_DPM_NOT_FOUND', `there is no model of that name; there are: ${ids}`, { param: 'model' });
  }

  /** Waits until the batchers have done what they have accepted; they take nothing more. */
  async drain(): Promise<void> {
    await Promise.all(this.models.map(({ batcher }) => batcher.drain()));
  }

  /** Ends all requests and closes the models. */
  async close(): Promise<void> {
    await Promise.all(this.models.map(({ batcher }) => batcher.close()));
    await Promise.all(this.#closing.map((close) => close()));
  }
}
