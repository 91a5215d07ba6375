import { ServerError } from '../base/problem.js';

/**
 * Refuses two lines `Host` (RFC 9112, section 3.2) and compressed bodies, which Node lets through.
 *
 * @param rawHeaders - Names and values in turn.
 * @throws {@link ServerError}
 */
export function requireStrictHeaders(rawHeaders: readonly string[]): void {
  const names = rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
  if (names.filter((name) => name === 'host').length > 1) {
    throw new ServerError('ERR_DPM_ARGUMENT', 'the request has more than one line Host');
  }
  const encoding = rawHeaders[2 * names.indexOf('content-encoding') + 1];
  if (names.includes('content-encoding') && encoding?.trim().toLowerCase() !== 'identity') {
    throw new ServerError('ERR_DPM_MEDIA_TYPE', 'bodies are taken as they are, without Content-Encoding');
  }
}
