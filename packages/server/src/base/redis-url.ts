import { DpmError } from 'dpm-native';

/** What is wrong with a URL of Redis; undefined where nothing is. The client for Redis checks none of it. */
function faultOf(text: string): string | undefined {
  if (!/^rediss?:\/\//.test(text) || !URL.canParse(text)) return 'cannot be read as a URL';
  const { port, pathname, searchParams, username, password } = new URL(text);
  if (port === '0') return 'has the port 0';
  const databases = [pathname.replace(/^\//, ''), ...searchParams.getAll('db')];
  if (databases.some((database) => !/^\d{0,9}$/.test(database))) return 'has a database that is no whole number';
  try {
    decodeURIComponent(username + password);
  } catch {
    return 'has a % in its user or password that begins no escape';
  }
  return undefined;
}

/**
 * Requires the URL of a queue to be one that a client for Redis takes. Nothing of it is told, as where it cannot be read, its password
 * may be in any part.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG`.
 */
export function requireRedisUrl(queue: string): void {
  const fault = faultOf(queue);
  if (fault === undefined) return;
  const form =
    'redis://user:password@host:port/database, with a port from 1 to 65535 and % before codes of other signs';
  throw new DpmError('ERR_DPM_CONFIG', `queue ${fault}: it has to be ${form}`);
}
