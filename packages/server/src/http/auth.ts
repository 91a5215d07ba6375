import type { FastifyRequest } from 'fastify';

import { ServerError } from '../base/problem.js';
import type { Tokens } from './tokens.js';

const unauthorized = (message: string): ServerError =>
  new ServerError('ERR_DPM_UNAUTHORIZED', message, { headers: { 'www-authenticate': 'Bearer' } });

/**
 * Finds the client of a request by its token, for routes that have a scope.
 *
 * @throws {@link ServerError} `ERR_DPM_UNAUTHORIZED`.
 */
export async function authenticate(request: FastifyRequest, tokens: Tokens): Promise<void> {
  if (request.routeOptions.config.scope === undefined) return;
  const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  if (token === undefined) throw unauthorized('the request has no token: Authorization: Bearer TOKEN');
  // If the file is wrong, the tokens stay as they are.
  await tokens.refresh().catch((error: unknown) => {
    request.log.error({ err: error }, 'the tokens were not read again');
  });
  const client = tokens.find(token);
  if (client === undefined) throw unauthorized('the token is not known');
  request.client = client;
}

/** @throws {@link ServerError} `ERR_DPM_FORBIDDEN` where the client may not do what the route does. */
export function requireScope(request: FastifyRequest): void {
  const { scope } = request.routeOptions.config;
  if (scope === undefined || request.client.scopes.has(scope)) return;
  throw new ServerError('ERR_DPM_FORBIDDEN', `this takes a token with the scope '${scope}'`);
}
