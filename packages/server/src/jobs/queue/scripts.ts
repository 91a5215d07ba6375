import type { Redis } from 'ioredis';

/** A script that Redis runs in one step, so that nobody sees or changes anything in between. */
export type Script = (...args: (string | number)[]) => Promise<unknown>;

/** Makes a script known to a connection, which sends its text once. */
export function scriptOf(redis: Redis, name: string, lua: string): Script {
  redis.defineCommand(name, { lua, numberOfKeys: 0 });
  const run = (redis as unknown as Record<string, Script>)[name];
  return async (...args) => run?.apply(redis, args);
}
