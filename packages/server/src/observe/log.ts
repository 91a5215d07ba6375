import type { FastifyBaseLogger } from 'fastify';
import { pino, type DestinationStream } from 'pino';

import type { Settings } from '../config/settings.js';

/** The most nested causes that a line shows, as causes may form a circle. */
const MOST_CAUSES = 5;

/** The fields of an error that a line shows. Other fields may be secret: ioredis adds the failed command, and AUTH has the password. */
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
