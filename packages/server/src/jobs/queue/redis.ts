import { setTimeout as sleep } from 'node:timers/promises';

import type * as bullmq from 'bullmq';
import { DpmError } from 'dpm-native';
import type { Redis } from 'ioredis';

import { optional } from '../../base/optional.js';

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

/** Whether Redis answers, and does it in time. */
export async function answers(redis: Redis): Promise<boolean> {
  if (redis.status !== 'ready') return false;
  const answered = redis.ping().then(
    () => true,
    () => false,
  );
  return Promise.race([answered, sleep(PATIENCE, false, { ref: false })]);
}

/** A connection to Redis, and those that are made after it. */
export interface Connection {
  readonly redis: Redis;
  /** Ends all of them: Redis need not be there. */
  close(): void;
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
export async function connect(url: string, { isPatient, onError }: Use): Promise<Connection> {
  const { Redis: Client } = await optional(() => import('ioredis'), 'a queue', 'bullmq ioredis');
  let isOver = false;
  const client = new Client(url, {
    lazyConnect: true,
    connectTimeout: PATIENCE,
    // One that waits for its next try would keep a process from ending.
    retryStrategy: (times) => (isOver ? null : Math.min(100 * times, 2000)),
    ...(isPatient
      ? { maxRetriesPerRequest: null }
      : { maxRetriesPerRequest: 0, enableOfflineQueue: false, commandTimeout: PATIENCE }),
  });
  const close = (): void => {
    isOver = true;
    client.disconnect();
  };
  let reason: Error | undefined;
  client.on('error', (error: Error) => (reason = error));
  try {
    await client.connect();
    await requireNoEviction(client, url);
  } catch (cause) {
    close();
    if (cause instanceof DpmError) throw cause;
    const { message } = reason ?? (cause as Error);
    throw new DpmError('ERR_DPM_CONFIG', `queue ${shown(url)} cannot be reached: ${message}`, { cause });
  }
  client.on('error', onError);
  return { redis: client, close };
}
