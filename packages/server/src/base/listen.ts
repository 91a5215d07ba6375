import { DpmError } from 'dpm-native';
import type { FastifyInstance } from 'fastify';

/** What a system says of an address that cannot be listened on, in words. */
const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is taken by another program',
  EACCES: 'may not be used by this user',
  EADDRNOTAVAIL: 'is none of this machine',
  ENOTFOUND: 'is none of this machine',
};

/**
 * Listens on a port, 0 for any that is free.
 *
 * @param setting - Name of the setting that says the port.
 * @throws {@link DpmError} `ERR_DPM_CONFIG` naming the port that cannot be had.
 */
export async function listenOn(
  app: FastifyInstance,
  { host, port, setting }: { host: string; port: number; setting: string },
): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException;
    const reason = reasons[code];
    if (reason === undefined) throw cause;
    throw new DpmError('ERR_DPM_CONFIG', `${setting} ${port} of ${host} ${reason}: ${code}`, { cause });
  }
}
