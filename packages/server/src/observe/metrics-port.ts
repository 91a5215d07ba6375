import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';

import { listenOn } from '../base/listen.js';
import type { Metrics } from './metrics.js';
import type { Settings } from '../config/settings.js';

/** Answers with the metrics of a server. */
export async function sendMetrics({ register }: Metrics, reply: FastifyReply): Promise<FastifyReply> {
  return reply.type(register.contentType).send(await register.metrics());
}

/** Serves `GET /metrics` at a port of its own, without tokens; undefined where the settings name no such port. */
export async function listenForMetrics(
  { host, metricsPort }: Pick<Settings, 'host' | 'metricsPort'>,
  metrics: Metrics,
): Promise<FastifyInstance | undefined> {
  if (metricsPort === undefined) return undefined;
  const app = Fastify({ forceCloseConnections: true });
  app.get('/metrics', (_, reply) => sendMetrics(metrics, reply));
  await listenOn(app, { host, port: metricsPort, setting: 'metricsPort' });
  return app;
}
