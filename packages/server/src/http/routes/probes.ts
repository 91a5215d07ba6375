import Type from 'typebox';

import type { Context, Routes } from '../context.js';
import { jsonAnswer } from '../description.js';
import { sendMetrics } from '../../observe/metrics-port.js';

/** The reasons why a server takes no requests; empty where it does. */
export function reasonsAgainst({ registry, state }: Pick<Context, 'registry' | 'state'>): string[] {
  return [
    ...(state.isDraining ? ['draining'] : []),
    ...(registry.models.length === 0 ? ['no model is loaded'] : []),
    ...registry.failed.map((id) => `the card of ${id} has failed`),
  ];
}

/** The reasons why a worker draws nothing: without its queue it is of no use, while a server still draws samples. */
async function reasonsOfQueue({ worker }: Pick<Context, 'worker'>): Promise<string[]> {
  const trouble = await worker?.trouble();
  return trouble === undefined ? [] : [`the queue cannot be used: ${trouble}`];
}

const strict = { additionalProperties: false };
const reasonsSchema = Type.Array(Type.String(), { description: 'Why it is not so.' });

const readySchema = Type.Object(
  {
    ready: Type.Boolean(),
    reasons: reasonsSchema,
    warnings: Type.Array(Type.String({ description: 'A model that was not loaded, and the code of why.' })),
  },
  strict,
);
const silentSchema = Type.Object({ status: Type.Literal('silent'), reasons: reasonsSchema }, strict);

const livez = {
  operationId: 'getLiveness',
  summary: 'Whether the process lives.',
  tags: ['probes'],
  response: {
    200: jsonAnswer('It does.', Type.Object({ status: Type.Literal('alive') }, strict)),
    503: jsonAnswer('A batch has stopped.', silentSchema),
  },
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

/** The routes `GET /livez`, `/readyz` and, unless it has a port of its own, `/metrics`. */
export const probeRoutes: Routes = (app, context) => {
  app.get('/livez', { schema: livez }, (_, reply) => {
    const reasons = context.liveness.reasons();
    return reply
      .status(reasons.length === 0 ? 200 : 503)
      .send(reasons.length === 0 ? { status: 'alive' } : { status: 'silent', reasons });
  });
  app.get('/readyz', { schema: readyz }, async (_, reply) => {
    const reasons = [...reasonsAgainst(context), ...(await reasonsOfQueue(context))];
    const warnings = [...context.registry.unloadable].map(([id, code]) => `${id} was not loaded: ${code}`);
    return reply.status(reasons.length === 0 ? 200 : 503).send({ ready: reasons.length === 0, reasons, warnings });
  });
  if (context.settings.metricsPort !== undefined) return;
  app.get('/metrics', { schema: metrics, config: { scope: 'metrics' } }, (_, reply) =>
    sendMetrics(context.metrics, reply),
  );
};
