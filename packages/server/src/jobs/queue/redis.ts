import { setTimeout as sleep } from 'node:timers/promises';

import type * as bullmq from 'bullmq';
import { DpmError } from 'dpm-native';
import type { Redis } from 'ioredis';

import { optional } from '../../base/optional.js';

/** Milliseconds without an answer after which Redis counts as gone. */
const PATIENCE = 5000;

/** A key that never is, and milliseconds within which its question is answered: probes of Kubernetes wait for a second. */
const PROBE = 'bull:dpm-jobs:probe';
const PROBE_PATIENCE = 800;

/** The name of the queue that has the jobs themselves. */
export const JOBS = 'dpm-jobs';

/** The channel on which cancelled jobs are announced. */
export const CANCELLED = 'dpm-cancelled';

/** The module BullMQ. */
export type Bullmq = typeof bullmq;

/** Loads BullMQ, if it is installed. */
export function loadBullmq(): Promise<Bullmq> {
  return optional(() => import('bullmq'), 'a queue', 'bullmq ioredis');
}

/** A URL without its password, for messages. */
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

/** Tells whether Redis answers in time. */
export async function answers(redis: Redis): Promise<boolean> {
  if (redis.status !== 'ready') return false;
  const answered = redis.ping().then(
    () => true,
    () => false,
  );
  return Promise.race([answered, sleep(PATIENCE, false, { ref: false })]);
}

/** An error of Redis in a word, as ECONNREFUSED or NOAUTH. Its message has addresses, which strangers need not know. */
function wordOf(error: Error & { code?: string }): string {
  return error.code ?? /^[A-Z]+\b/.exec(error.message)?.[0] ?? 'it is away';
}

/** Watches whether Redis takes what is written, without waiting for it long. */
function watch(redis: Redis): () => Promise<string | undefined> {
  let last: Error = new Error('');
  redis.on('error', (error: Error) => (last = error));
  let looking: Promise<string | undefined> | undefined;
  const look = async (): Promise<string | undefined> => {
    try {
      // A write that changes nothing: Redis without memory, or without a disk, still answers a ping.
      await redis.set(PROBE, '', 'XX');
      return undefined;
    } catch (error) {
      return wordOf(error as Error);
    } finally {
      looking = undefined;
    }
  };
  return () => {
    if (redis.status !== 'ready') return Promise.resolve(wordOf(last));
    // A silent Redis gets no further question.
    looking ??= look();
    return Promise.race([looking, sleep(PROBE_PATIENCE, 'it does not answer', { ref: false })]);
  };
}

/** A connection to Redis, and those that are made after it. */
export interface Connection {
  readonly redis: Redis;
  /** Why Redis cannot be used now, in a few words; undefined where it can. */
  trouble(): Promise<string | undefined>;
  /** Ends all of them, even where Redis is gone. */
  close(): void;
}

/** The use of a connection. */
interface Use {
  /** True where commands wait while Redis is gone. Otherwise they fail, so that requests get an answer. */
  isPatient: boolean;
  /** Listens to errors of the connection. */
  onError: (error: Error) => void;
}

/**
 * Connects to Redis.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` where Redis does not answer or evicts keys, `ERR_DPM_USAGE` without the packages.
 */
export async function connect(url: string, { isPatient, onError }: Use): Promise<Connection> {
  const { Redis: Client } = await optional(() => import('ioredis'), 'a queue', 'bullmq ioredis');
  let isOver = false;
  const client = new Client(url, {
    lazyConnect: true,
    connectTimeout: PATIENCE,
    // A client that waits for its next try would keep the process alive.
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
    // A client that cannot have its database stays in another one and says nothing.
    await client.select(client.options.db ?? 0);
    await requireNoEviction(client, url);
  } catch (cause) {
    close();
    if (cause instanceof DpmError) throw cause;
    const { message } = reason ?? (cause as Error);
    throw new DpmError('ERR_DPM_CONFIG', `queue ${shown(url)} cannot be reached: ${message}`, { cause });
  }
  client.on('error', onError);
  return { redis: client, trouble: watch(client), close };
}
