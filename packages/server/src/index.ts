import { type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import type { FastifyInstance } from 'fastify';

import { settingsOf, type ServerConfig } from './config.js';
import type { Context, WholeAnswer } from './context.js';
import { ThreadPool } from './threads/pool.js';
import { IdempotencyKeys } from './idempotency.js';
import { type Limits, limits } from './limits.js';
import { Metrics } from './metrics.js';
import { Registry } from './registry.js';
import { buildApp } from './server.js';
import { Tokens } from './tokens.js';

export { readConfig, type ModelConfig, type ServerConfig } from './config.js';
export { newToken } from './tokens.js';

/** Milliseconds in which answers can be written whatever the time for draining is. */
const LEAST_FOR_ANSWERS = 1000;

/** A server that listens. */
export class Server {
  /** Where it is reached. */
  readonly url: string;
  readonly #app: FastifyInstance;
  readonly #context: Context;
  #ending: Promise<boolean> | undefined;

  private constructor(app: FastifyInstance, context: Context) {
    this.#app = app;
    this.#context = context;
    const { address, family, port } = app.server.address() as AddressInfo;
    this.url = `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  /**
   * Loads the models and listens.
   *
   * @throws DpmError `ERR_DPM_CONFIG` and `ERR_DPM_FILE` naming what is wrong, and as loading a model does.
   */
  static start(config: ServerConfig): Promise<Server> {
    return Server.startWithin(config, limits);
  }

  /** The same with other limits. @internal */
  static async startWithin(config: ServerConfig, within: Limits): Promise<Server> {
    const settings = settingsOf(config);
    const tokens = settings.tokens === undefined ? undefined : await Tokens.open(settings.tokens);
    const registry = await Registry.open(settings);
    const state = { isDraining: false, open: 0 };
    const pool = new ThreadPool(within.inLine);
    const metrics = new Metrics(registry);
    const keys = new IdempotencyKeys<WholeAnswer>();
    const context: Context = { settings, limits: within, registry, metrics, pool, keys, state };
    try {
      const app = await buildApp(context, tokens);
      await app.listen({ host: settings.host, port: settings.port });
      return new Server(app, context);
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
    this.#context.state.isDraining = true;
    this.#ending ??= this.#drain();
    return this.#ending;
  }

  /** Ends what has been accepted, too, with `ERR_DPM_CLOSED`. */
  async cut(): Promise<void> {
    this.#context.state.isDraining = true;
    await this.#context.registry.close();
  }

  async #drain(): Promise<boolean> {
    const { registry, settings, metrics, pool } = this.#context;
    const end = performance.now() + settings.drain;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(resolve, settings.drain, false);
    });
    const isDone = await Promise.race([registry.drain().then(() => true), late]);
    clearTimeout(timer);
    await registry.close();
    await this.#answersSent(Math.max(end, performance.now() + LEAST_FOR_ANSWERS));
    const isSent = this.#context.state.open === 0;
    const closed = this.#app.close();
    // Those that have asked for nothing yet are not idle in the eyes of Node.
    this.#app.server.closeAllConnections();
    await closed;
    metrics.close();
    await pool.close();
    return isDone && isSent;
  }

  /** Waits until all answers have been sent, at most until a moment. */
  async #answersSent(end: number): Promise<void> {
    while (this.#context.state.open > 0 && performance.now() < end) await sleep(10);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
