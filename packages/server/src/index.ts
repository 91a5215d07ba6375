import { type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import type { FastifyInstance } from 'fastify';

import { kserveRoutes } from './apis/kserve/route.js';
import { openaiRoutes } from './apis/openai/route.js';
import { pageRoutes } from './apis/page/route.js';
import { listenOn } from './base/listen.js';
import { watchConfig } from './config/config-watch.js';
import { settingsOf } from './config/config.js';
import { type Limits, limits } from './config/limits.js';
import type { ServerConfig } from './config/settings.js';
import type { Context, Routes, WholeAnswer } from './http/context.js';
import { IdempotencyKeys } from './http/idempotency.js';
import { jobRoutes } from './http/routes/jobs.js';
import { modelRoutes } from './http/routes/models.js';
import { openapiRoutes } from './http/routes/openapi.js';
import { probeRoutes } from './http/routes/probes.js';
import { sampleRoutes } from './http/routes/samples.js';
import { buildApp } from './http/server.js';
import { Tokens } from './http/tokens.js';
import { openJobs, openWorker } from './jobs/places/open.js';
import { Registry } from './models/registry.js';
import { reload, type Reloaded } from './models/reload.js';
import { Liveness } from './observe/liveness.js';
import { loggerOf } from './observe/log.js';
import { listenForMetrics } from './observe/metrics-port.js';
import { Metrics } from './observe/metrics.js';
import { Tracing } from './observe/tracing.js';
import { ThreadPool } from './threads/pool.js';

export { readConfig } from './config/config.js';
export { changeJob, listJobs, purgeJobs, type JobAction, type JobPlace } from './jobs/places/admin.js';
export type { JobView } from './jobs/view.js';
export type { ModelConfig } from './config/model-config.js';
export type { Reloaded } from './models/reload.js';
export type { ServerConfig } from './config/settings.js';
export { newToken } from './http/tokens.js';

/** The routes of a server, and those of a worker, which takes no requests. */
const serverRoutes: readonly Routes[] = [
  pageRoutes,
  sampleRoutes,
  jobRoutes,
  modelRoutes,
  openaiRoutes,
  kserveRoutes,
  probeRoutes,
  openapiRoutes,
];
const workerRoutes: readonly Routes[] = [probeRoutes];

/** Milliseconds that remain for writing answers, however short the time for draining is. */
const LEAST_FOR_ANSWERS = 1000;

/** Ends jobs. Chunks that are being drawn go back to the spool or the queue. */
async function endJobs({ jobs, worker }: Context): Promise<void> {
  await worker?.close();
  await jobs?.close();
}

function urlOf(app: FastifyInstance): string {
  const { address, family, port } = app.server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

/** A server that listens. */
export class Server {
  /** The server's URL. */
  readonly url: string;
  /** The URL of the metrics, if they have a port of their own. */
  readonly metricsUrl: string | undefined;
  readonly #app: FastifyInstance;
  readonly #metricsApp: FastifyInstance | undefined;
  readonly #context: Context;
  #ending: Promise<boolean> | undefined;
  /** The end of the last reload: reloads run one after the other. */
  #reloading: Promise<unknown> = Promise.resolve();
  #unwatch: (() => void) | undefined;

  private constructor(app: FastifyInstance, metricsApp: FastifyInstance | undefined, context: Context) {
    this.#app = app;
    this.#metricsApp = metricsApp;
    this.#context = context;
    this.url = urlOf(app);
    this.metricsUrl = metricsApp === undefined ? undefined : `${urlOf(metricsApp)}/metrics`;
  }

  /**
   * Loads the models and listens.
   *
   * @throws DpmError `ERR_DPM_CONFIG` and `ERR_DPM_FILE` naming what is wrong, and as loading a model does.
   */
  static start(config: ServerConfig): Promise<Server> {
    return Server.startWithin(config, limits);
  }

  /** Starts a server with other limits. @internal */
  static startWithin(config: ServerConfig, within: Limits): Promise<Server> {
    return Server.#start(config, within, serverRoutes, async (context) => {
      context.jobs = await openJobs(context);
    });
  }

  /**
   * Starts a worker: loads the models and draws the chunks of the configuration's queue. It answers probes and metrics, and no other
   * requests.
   *
   * @throws DpmError as {@link Server.start} does.
   */
  static work(config: ServerConfig): Promise<Server> {
    return Server.#start(config, limits, workerRoutes, async (context) => {
      context.worker = await openWorker(context);
    });
  }

  static async #start(
    config: ServerConfig,
    within: Limits,
    routes: readonly Routes[],
    begin: (context: Context) => Promise<void>,
  ): Promise<Server> {
    const settings = settingsOf(config);
    const tokens = settings.tokens === undefined ? undefined : await Tokens.open(settings.tokens, settings);
    const tracing = await Tracing.open();
    const pool = new ThreadPool(within.inLine);
    const registry = await Registry.open(settings, (task) => pool.compile(task));
    const state = { isDraining: false, open: 0 };
    const liveness = new Liveness(registry);
    const metrics = new Metrics(registry);
    const keys = new IdempotencyKeys<WholeAnswer>();
    const log = loggerOf(settings.logLevel);
    const context: Context = {
      settings,
      limits: within,
      registry,
      liveness,
      metrics,
      pool,
      tracing,
      keys,
      state,
      log,
    };
    let metricsApp: FastifyInstance | undefined;
    try {
      await begin(context);
      metricsApp = await listenForMetrics(settings, metrics);
      const app = await buildApp(context, tokens, routes);
      await listenOn(app, { ...settings, setting: 'port' });
      return new Server(app, metricsApp, context);
    } catch (error) {
      await endJobs(context);
      await metricsApp?.close();
      liveness.close();
      metrics.close();
      await pool.close();
      await registry.close();
      throw error;
    }
  }

  /**
   * Serves the models of a configuration. Unchanged models stay as they are. If a model fails to load, its older version is still served.
   * Models that clients have put stay, too. Other settings take effect only after a restart.
   *
   * @throws DpmError `ERR_DPM_CONFIG` where the configuration is wrong, `ERR_DPM_CLOSED` at the end; nothing changes then.
   */
  reload(config: ServerConfig): Promise<Reloaded> {
    const done = this.#reloading.then(() => reload(this.#context, this.#context.log, config));
    this.#reloading = done.catch(() => undefined);
    return done;
  }

  /**
   * Reloads the configuration on SIGHUP and when its file changes, until the end. Errors are logged.
   *
   * @param read - Reads the whole configuration.
   */
  follow(file: string, read: () => Promise<ServerConfig>): void {
    this.#unwatch?.();
    this.#unwatch = watchConfig(file, () => {
      read()
        .then((config) => this.reload(config))
        .catch((error: unknown) => {
          this.#context.log.error({ err: error }, 'the configuration was not read again');
        });
    });
  }

  /**
   * Refuses new work, waits for accepted work as long as the configuration says, and closes everything.
   *
   * @returns True where all accepted work was done.
   */
  stop(): Promise<boolean> {
    this.#context.state.isDraining = true;
    this.#ending ??= this.#drain();
    return this.#ending;
  }

  /** Ends accepted work, too, with `ERR_DPM_CLOSED`. */
  async cut(): Promise<void> {
    this.#context.state.isDraining = true;
    await endJobs(this.#context);
    await this.#context.registry.close();
  }

  async #drain(): Promise<boolean> {
    this.#unwatch?.();
    const { registry, settings, liveness, metrics, pool, jobs, worker } = this.#context;
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
    // Chunks that went back do not count as unfinished.
    const isDone = isInTime || registry.unfinished === 0;
    await registry.close();
    await this.#answersSent(Math.max(end, performance.now() + LEAST_FOR_ANSWERS));
    const isSent = this.#context.state.open === 0;
    const closed = this.#app.close();
    // Node does not count a connection without any request as idle, so it would stay open.
    this.#app.server.closeAllConnections();
    await closed;
    await this.#metricsApp?.close();
    liveness.close();
    metrics.close();
    await pool.close();
    return isDone && isSent;
  }

  /** Waits until all answers have been sent, at most until `end`. */
  async #answersSent(end: number): Promise<void> {
    while (this.#context.state.open > 0 && performance.now() < end) await sleep(10);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
