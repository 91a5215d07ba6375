import type { FastifyReply } from 'fastify';

import type { Context, Routes } from '../context.js';

/** Why a server takes no requests; nothing where it does. */
export function reasonsAgainst({ registry, state }: Pick<Context, 'registry' | 'state'>): string[] {
  return [
    ...(state.isDraining ? ['draining'] : []),
    ...(registry.models.length === 0 ? ['no model is loaded'] : []),
    ...registry.failed.map((id) => `the card of ${id} has failed`),
  ];
}

/** Answers with what a server has counted. */
export async function sendMetrics({ metrics: { register } }: Context, reply: FastifyReply): Promise<FastifyReply> {
  return reply.type(register.contentType).send(await register.metrics());
}

/** `GET /livez`, `/readyz` and, where they have no port of their own, `/metrics`. */
export const probeRoutes: Routes = (app, context) => {
  const schema = { tags: ['probes'] };
  app.get('/livez', { schema }, (_, reply) => {
    const reasons = context.liveness.reasons();
    return reply
      .status(reasons.length === 0 ? 200 : 503)
      .send(reasons.length === 0 ? { status: 'alive' } : { status: 'silent', reasons });
  });
  app.get('/readyz', { schema }, (_, reply) => {
    const reasons = reasonsAgainst(context);
    const warnings = [...context.registry.unloadable].map(([id, code]) => `${id} was not loaded: ${code}`);
    return reply.status(reasons.length === 0 ? 200 : 503).send({ ready: reasons.length === 0, reasons, warnings });
  });
  if (context.settings.metricsPort !== undefined) return;
  app.get('/metrics', { schema, config: { scope: 'metrics' } }, (_, reply) => sendMetrics(context, reply));
};
