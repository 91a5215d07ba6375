import { isIP } from 'node:net';

import type { FastifyRequest } from 'fastify';

import { hostOf } from '../base/host.js';
import { ServerError } from '../base/problem.js';
import type { Settings } from '../config/settings.js';

/** Methods that change nothing and draw nothing. */
const harmless: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Makes the check of requests to a server that knows nobody by a token. A page of a stranger in a browser on this machine can send
 * requests here, too: by a name of its own that it lets point to this address (DNS rebinding), or from its own origin.
 *
 * @returns Refuses requests whose `Host` is a name that is not the server's, and those that may draw whose `Origin` is another than
 * this server and those of `cors`.
 * @throws The check throws {@link ServerError} `ERR_DPM_FORBIDDEN`.
 */
export function requireOwnNames({
  host,
  hosts,
  cors,
  insecure,
}: Pick<Settings, 'host' | 'hosts' | 'cors' | 'insecure'>): (request: FastifyRequest) => void {
  const own = host.toLowerCase();
  // Who serves everybody and names nothing is reached by names that are not known here.
  const anyName = insecure && hosts.length === 0;
  // An address in figures is nobody's to point elsewhere.
  const isOwn = (name: string): boolean =>
    name === own || hosts.includes(name) || /^(?:.+\.)?localhost$/.test(name) || isIP(name.replace(/^\[|\]$/g, '')) > 0;
  return ({ method, headers }) => {
    const { host: authority, origin } = headers;
    const name = authority === undefined ? undefined : hostOf(authority);
    if (authority !== undefined && !anyName && (name === undefined || !isOwn(name))) {
      throw new ServerError('ERR_DPM_FORBIDDEN', `Host ${authority} is no name of this server: name it in hosts`);
    }
    if (origin === undefined || harmless.has(method) || cors.includes(origin)) return;
    const from = URL.canParse(origin) ? new URL(origin) : undefined;
    if (from !== undefined && (from.host === authority?.toLowerCase() || hosts.includes(from.host))) return;
    throw new ServerError(
      'ERR_DPM_FORBIDDEN',
      `pages of the origin ${origin} may not ask this server: name it in cors`,
    );
  };
}
