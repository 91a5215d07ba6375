import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';

/** Headers of answers that pages of other origins may read. */
const exposedHeaders = [
  'Dpm-Id',
  'Dpm-Seed',
  'Dpm-Digest',
  'Dpm-Evaluations',
  'Dpm-Grid',
  'Location',
  'Retry-After',
  'Server-Timing',
];

/**
 * Lets pages of some origins ask, and no others. Hooks that come before see the questions of browsers whether they may, which have no
 * tokens; those that come after do not.
 */
export async function allowOrigins(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  if (origins.length === 0) return;
  const allowed = new Set(origins);
  await app.register(cors, {
    // Others get no header at all, as without this.
    origin: (origin, done) => {
      done(null, origin !== undefined && allowed.has(origin) ? origin : false);
    },
    strictPreflight: false,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'],
    exposedHeaders,
    maxAge: 600,
  });
}
