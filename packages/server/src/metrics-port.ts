import Fastify, { type FastifyInstance } from 'fastify';

import type { Context } from './context.js';
import { sendMetrics } from './routes/probes.js';

/** Serves `GET /metrics` alone, for whoever reaches its port; undefined where it has none. */
export async function listenForMetrics(context: Context): Promise<FastifyInstance | undefined> {
  const { host, metricsPort } = context.settings;
  if (metricsPort === undefined) return undefined;
  const app = Fastify({ forceCloseConnections: true });
  app.get('/metrics', (_, reply) => sendMetrics(context, reply));
  await app.listen({ host, port: metricsPort });
  return app;
}
