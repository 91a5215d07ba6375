import type { FastifyBaseLogger } from 'fastify';
import { pino } from 'pino';

import type { Settings } from './config.js';

/** A logger of JSON lines on stdout. Tokens are never in them. */
export function loggerOf(level: Settings['logLevel']): FastifyBaseLogger {
  return pino({
    level,
    redact: ['headers.authorization', 'req.headers.authorization'],
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
  });
}
