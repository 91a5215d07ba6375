import type { FastifyBaseLogger } from 'fastify';
import { pino, type DestinationStream } from 'pino';

import type { Settings } from '../config/settings.js';

/** Causes of causes that are told; they may lead back to where they began. */
const MOST_CAUSES = 5;

/** What a log has of an error. Libraries hang more on theirs, as ioredis the command that failed: of AUTH that is the password. */
function told(error: unknown, causes = MOST_CAUSES): unknown {
  if (!(error instanceof Error)) return String(error);
  const { code, cause } = error as Error & { code?: unknown };
  return {
    type: error.name,
    ...((typeof code === 'string' || typeof code === 'number') && { code }),
    message: error.message,
    stack: error.stack,
    ...(cause !== undefined && causes > 0 && { cause: told(cause, causes - 1) }),
  };
}

/** A logger of JSON lines, by default on stdout. Tokens and passwords are never in them. */
export function loggerOf(level: Settings['logLevel'], destination?: DestinationStream): FastifyBaseLogger {
  return pino(
    {
      level,
      redact: ['headers.authorization', 'req.headers.authorization'],
      serializers: { err: told },
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
    },
    destination,
  );
}
