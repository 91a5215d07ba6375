import Type from 'typebox';

import type { Context, Routes } from '../context.js';
import { jsonAnswer } from '../description.js';

/** Why a server takes no requests; nothing where it does. */
export function reasonsAgainst({ registry, state }: Pick<Context, 'registry' | 'state'>): string[] {
  return [
    ...(state.isDraining ? ['draining'] : []),
    ...(registry.models.length === 0 ? ['no model is loaded'] : []),
    ...registry.failed.map((id) => `the card of ${id} has failed`),
  ];
}

const strict = { additionalProperties: false };

const readySchema = Type.Object(
  { ready: Type.Boolean(), reasons: Type.Array(Type.String({ description: 'Why it takes none.' })) },
  strict,
);

const livez = {
  operationId: 'getLiveness',
  summary: 'Whether the process lives.',
  tags: ['probes'],
  response: { 200: jsonAnswer('It does.', Type.Object({ status: Type.Literal('alive') }, strict)) },
};

const readyz = {
  operationId: 'getReadiness',
  summary: 'Whether it takes requests.',
  tags: ['probes'],
  response: { 200: jsonAnswer('It does.', readySchema), 503: jsonAnswer('It does not.', readySchema) },
};

const metrics = {
  operationId: 'getMetrics',
  summary: "What it counts, in Prometheus' text format.",
  tags: ['probes'],
  response: { 200: { description: 'Metrics.', content: { 'text/plain': { schema: Type.String() } } } },
};

/** `GET /livez`, `/readyz` and `/metrics`. */
export const probeRoutes: Routes = (app, context) => {
  app.get('/livez', { schema: livez }, () => ({ status: 'alive' }));
  app.get('/readyz', { schema: readyz }, (_, reply) => {
    const reasons = reasonsAgainst(context);
    return reply.status(reasons.length === 0 ? 200 : 503).send({ ready: reasons.length === 0, reasons });
  });
  app.get('/metrics', { schema: metrics, config: { scope: 'metrics' } }, async (_, reply) => {
    const { register } = context.metrics;
    return reply.type(register.contentType).send(await register.metrics());
  });
};
