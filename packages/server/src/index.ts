import { type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import type { FastifyInstance } from 'fastify';

import { settingsOf, type ServerConfig } from './config.js';
import type { Context, Routes, WholeAnswer } from './context.js';
import { EncodingPool } from './encode/pool.js';
import { IdempotencyKeys } from './idempotency.js';
import { openJobs, openWorker } from './jobs/open.js';
import { loggerOf } from './log.js';
import { Metrics } from './metrics.js';
import { Registry } from './registry.js';
import { buildApp, serverRoutes, workerRoutes } from './server.js';
import { Tokens } from './tokens.js';

export { readConfig, type ModelConfig, type ServerConfig } from './config.js';
export { changeJob, listJobs, purgeJobs, type JobAction, type JobPlace } from './jobs/admin.js';
export { newToken } from './tokens.js';

/** Milliseconds in which answers can be written whatever the time for draining is. */
const LEAST_FOR_ANSWERS = 1000;

/** Chunks that are being drawn go back to where they came from. */
async function endJobs({ jobs, worker }: Context): Promise<void> {
  await worker?.close();
  await jobs?.close();
}

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
    return Server.#start(config, serverRoutes, async (context) => {
      context.jobs = await openJobs(context);
    });
  }

  /**
   * Loads the models and draws the jobs of the configuration's queue with them; it answers probes and tells metrics, and takes no requests.
   *
   * @throws DpmError as {@link Server.start} does.
   */
  static work(config: ServerConfig): Promise<Server> {
    return Server.#start(config, workerRoutes, async (context) => {
      context.worker = await openWorker(context);
    });
  }

  static async #start(
    config: ServerConfig,
    routes: readonly Routes[],
    begin: (context: Context) => Promise<void>,
  ): Promise<Server> {
    const settings = settingsOf(config);
    const tokens = settings.tokens === undefined ? undefined : await Tokens.open(settings.tokens);
    const registry = await Registry.open(settings);
    const state = { isDraining: false, open: 0 };
    const pool = new EncodingPool();
    const metrics = new Metrics(registry);
    const keys = new IdempotencyKeys<WholeAnswer>();
    const log = loggerOf(settings.logLevel);
    const context: Context = { settings, registry, metrics, pool, keys, state, log };
    try {
      await begin(context);
      const app = await buildApp(context, tokens, routes);
      await app.listen({ host: settings.host, port: settings.port });
      return new Server(app, context);
    } catch (error) {
      await endJobs(context);
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
    await endJobs(this.#context);
    await this.#context.registry.close();
  }

  async #drain(): Promise<boolean> {
    const { registry, settings, metrics, pool, jobs, worker } = this.#context;
    jobs?.pause();
    const end = performance.now() + settings.drain;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(resolve, settings.drain, false);
    });
    const drained = Promise.resolve(worker?.drain()).then(() => registry.drain());
    const isInTime = await Promise.race([drained.then(() => true), late]);
    clearTimeout(timer);
    await endJobs(this.#context);
    // Chunks of jobs that went back are not cut.
    const isDone = isInTime || registry.unfinished === 0;
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
