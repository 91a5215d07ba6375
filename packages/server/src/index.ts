import { type AddressInfo } from 'node:net';

import type { FastifyInstance } from 'fastify';

import { settingsOf, type ServerConfig } from './config.js';
import type { Context } from './context.js';
import { EncodingPool } from './encode/pool.js';
import { Metrics } from './metrics.js';
import { Registry } from './registry.js';
import { buildApp } from './server.js';
import { Tokens } from './tokens.js';

export { readConfig, type ModelConfig, type ServerConfig } from './config.js';
export { newToken } from './tokens.js';

/** A server that listens. */
export class Server {
  /** Where it is reached. */
  readonly url: string;
  readonly #app: FastifyInstance;
  readonly #context: Context;
  readonly #state: { isDraining: boolean };
  #ending: Promise<boolean> | undefined;

  private constructor(app: FastifyInstance, context: Context, state: { isDraining: boolean }) {
    this.#app = app;
    this.#context = context;
    this.#state = state;
    const { address, family, port } = app.server.address() as AddressInfo;
    this.url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  /**
   * Loads the models and listens.
   *
   * @throws DpmError `ERR_DPM_CONFIG` and `ERR_DPM_FILE` naming what is wrong, and as loading a model does.
   */
  static async start(config: ServerConfig): Promise<Server> {
    const settings = settingsOf(config);
    const tokens = settings.tokens === undefined ? undefined : await Tokens.open(settings.tokens);
    const registry = await Registry.open(settings);
    const state = { isDraining: false };
    const pool = new EncodingPool();
    const metrics = new Metrics(registry);
    const context: Context = { settings, registry, metrics, pool, isDraining: () => state.isDraining };
    try {
      const app = await buildApp(context, tokens);
      await app.listen({ host: settings.host, port: settings.port });
      return new Server(app, context, state);
    } catch (error) {
      metrics.close();
      await pool.close();
      await registry.close();
      throw error;
    }
  }

  /**
   * Refuses new work, waits for what has been accepted, as long as the configuration says, and closes everything.
   *
   * @returns Whether all of that was done.
   */
  stop(): Promise<boolean> {
    this.#state.isDraining = true;
    this.#ending ??= this.#drain();
    return this.#ending;
  }

  /** Ends what has been accepted, too, with `ERR_DPM_CLOSED`. */
  async cut(): Promise<void> {
    this.#state.isDraining = true;
    await this.#context.registry.close();
  }

  async #drain(): Promise<boolean> {
    const { registry, settings, metrics, pool } = this.#context;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(resolve, settings.drain, false);
    });
    const isDone = await Promise.race([registry.drain().then(() => true), late]);
    clearTimeout(timer);
    await registry.close();
    // Answers are still being written.
    await this.#app.close();
    metrics.close();
    await pool.close();
    return isDone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
