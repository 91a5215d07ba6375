import type * as bullmq from 'bullmq';
import { DpmError } from 'dpm-native';
import type { Redis } from 'ioredis';

import { optional } from './optional.js';

/** Milliseconds after which Redis counts as gone for those who wait for an answer. */
const PATIENCE = 5000;

/** The queue that jobs themselves are in, while their chunks are drawn. */
export const JOBS = 'dpm-jobs';

/** The channel that tells of jobs that were cancelled. */
export const CANCELLED = 'dpm-cancelled';

/** BullMQ's module. */
export type Bullmq = typeof bullmq;

/** BullMQ, where it is installed. */
export function loadBullmq(): Promise<Bullmq> {
  return optional(() => import('bullmq'), 'a queue', 'bullmq ioredis');
}

/** What a URL says without its password. */
export function shown(url: string): string {
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}

async function requireNoEviction(redis: Redis, url: string): Promise<void> {
  const [, policy] = /^maxmemory_policy:(\S+)/m.exec(await redis.info('memory')) ?? [];
  if (policy === undefined || policy === 'noeviction') return;
  throw new DpmError(
    'ERR_DPM_CONFIG',
    `queue ${shown(url)} has maxmemory-policy ${policy}, which throws jobs away: it has to be noeviction`,
  );
}

/** How a connection is used. */
interface Use {
  /** Commands wait for as long as Redis is gone; otherwise they fail, so that requests are answered. */
  isPatient: boolean;
  /** Told why Redis is gone. */
  onError: (error: Error) => void;
}

/**
 * A connection to Redis.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` where there is none, or where it forgets; `ERR_DPM_USAGE` without the packages.
 */
export async function connect(url: string, { isPatient, onError }: Use): Promise<Redis> {
  const { Redis: Client } = await optional(() => import('ioredis'), 'a queue', 'bullmq ioredis');
  const client = new Client(url, {
    lazyConnect: true,
    connectTimeout: PATIENCE,
    retryStrategy: (times) => Math.min(100 * times, 2000),
    ...(isPatient
      ? { maxRetriesPerRequest: null }
      : { maxRetriesPerRequest: 0, enableOfflineQueue: false, commandTimeout: PATIENCE }),
  });
  let reason: Error | undefined;
  client.on('error', (error: Error) => (reason = error));
  try {
    await client.connect();
    await requireNoEviction(client, url);
  } catch (cause) {
    client.disconnect();
    if (cause instanceof DpmError) throw cause;
    const { message } = reason ?? (cause as Error);
    throw new DpmError('ERR_DPM_CONFIG', `queue ${shown(url)} cannot be reached: ${message}`, { cause });
  }
  client.on('error', onError);
  return client;
}
