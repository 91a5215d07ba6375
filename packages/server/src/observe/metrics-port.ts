import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify';

import type { Metrics } from './metrics.js';
import type { Settings } from '../config/settings.js';

/** Answers with what a server has counted. */
export async function sendMetrics({ register }: Metrics, reply: FastifyReply): Promise<FastifyReply> {
  return reply.type(register.contentType).send(await register.metrics());
}

/** Serves `GET /metrics` alone, for whoever reaches its port; undefined where it has none. */
export async function listenForMetrics(
  { host, metricsPort }: Pick<Settings, 'host' | 'metricsPort'>,
  metrics: Metrics,
): Promise<FastifyInstance | undefined> {
  if (metricsPort === undefined) return undefined;
  const app = Fastify({ forceCloseConnections: true });
  app.get('/metrics', (_, reply) => sendMetrics(metrics, reply));
  await app.listen({ host, port: metricsPort });
  return app;
}
