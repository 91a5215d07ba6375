import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';

/** The headers of answers that pages of other origins may read. */
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
 * Allows requests of pages of some origins and no others. Hooks before this one see preflight requests of browsers, which have no
 * tokens; hooks after it do not.
 */
export async function allowOrigins(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  if (origins.length === 0) return;
  const allowed = new Set(origins);
  await app.register(cors, {
    // Other origins get no header at all.
    origin: (origin, done) => {
      done(null, origin !== undefined && allowed.has(origin) ? origin : false);
    },
    strictPreflight: false,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'],
    exposedHeaders,
    maxAge: 600,
  });
}
