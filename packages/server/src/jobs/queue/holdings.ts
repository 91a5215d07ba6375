import type { Redis } from 'ioredis';
import Type from 'typebox';

import { unlimited, type Quota } from '../../base/client.js';
import { mismatchOf } from '../../base/schema.js';
import type { Capacity, Holding } from '../admission.js';

/** What is held for each job, and the sums of it for all of them and for each tenant. */
const KEYS = ['dpm-jobs:held', 'dpm-jobs:held-sums'] as const;

/** Adds an entry to the sums, or takes it away. */
const counting = `
local entries, sums, id, new = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local function count(text, sign)
  local entry = cjson.decode(text)
  local open = entry.isOver and 0 or 1
  local counts = { jobs = 1, bytes = entry.bytes }
  counts['jobs ' .. entry.tenant] = open
  counts['samples ' .. entry.tenant] = open * entry.samples
  counts['bytes ' .. entry.tenant] = entry.bytes
  for name, value in pairs(counts) do
    -- -0 is no integer to Redis.
    local change = value == 0 and '0' or string.format('%.0f', sign * value)
    if redis.call('HINCRBY', sums, name, change) == 0 then redis.call('HDEL', sums, name) end
  end
end
local old = redis.call('HGET', entries, id)
`;

/** Enters a job if no sum exceeds its limit then, and tells whether it did: at once, so that no two jobs get the same room. */
const entering = `${counting}
if old and not cjson.decode(old).isOver then return 1 end
if old then count(old, -1) end
count(new, 1)
for i = 3, #ARGV, 2 do
  if tonumber(redis.call('HGET', sums, ARGV[i]) or '0') > tonumber(ARGV[i + 1]) then
    count(new, -1)
    if old then count(old, 1) end
    return 0
  end
end
redis.call('HSET', entries, id, new)
return 1
`;

/** Replaces the entry of a job by another, or by none. */
const replacing = `${counting}
if not old then return 0 end
count(old, -1)
redis.call('HDEL', entries, id)
if new ~= '' then
  count(new, 1)
  redis.call('HSET', entries, id, new)
end
return 1
`;

const entrySchema = Type.Object({
  tenant: Type.String(),
  weight: Type.Number(),
  samples: Type.Integer(),
  bytes: Type.Integer(),
  isOver: Type.Boolean(),
  changedAt: Type.Number(),
});

function textOf({ tenant, weight, samples, bytes, isOver, changedAt }: Holding): string {
  return JSON.stringify({ tenant, weight, samples, bytes, isOver, changedAt });
}

/** A limit as Redis reads it. */
function shown(limit: number): string {
  return String(Math.min(limit, Number.MAX_SAFE_INTEGER));
}

/** What the jobs of a queue hold, in Redis, where the servers of the queue share it. */
export class Holdings {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Enters a job that is not over, unless a limit would be exceeded, and tells whether it is entered. */
  async enter(holding: Holding, quota: Quota, capacity: Capacity): Promise<boolean> {
    const { id, tenant } = holding;
    const limits = [
      [`jobs ${tenant}`, quota.unfinishedJobs],
      [`samples ${tenant}`, quota.unfinishedSamples],
      [`bytes ${tenant}`, quota.resultBytes],
      ['jobs', capacity.jobs],
      ['bytes', capacity.bytes],
    ] as const;
    const told = limits.flatMap(([name, limit]) => [name, shown(limit)]);
    return (await this.#redis.eval(entering, KEYS.length, ...KEYS, id, textOf(holding), ...told)) === 1;
  }

  /** Notes what a job holds now, if it is entered. */
  async update(holding: Holding): Promise<void> {
    await this.#redis.eval(replacing, KEYS.length, ...KEYS, holding.id, textOf(holding));
  }

  /** Enters a job that is there already, whatever the limits. */
  async adopt(holding: Holding): Promise<void> {
    await this.enter(holding, unlimited, { jobs: Infinity, bytes: Infinity });
  }

  /** Takes out a job that is gone. */
  async forget(id: string): Promise<void> {
    await this.#redis.eval(replacing, KEYS.length, ...KEYS, id, '');
  }

  /** What is held for all jobs. Entries that others have written otherwise do not count. */
  async all(): Promise<Holding[]> {
    const entries = Object.entries(await this.#redis.hgetall(KEYS[0]));
    return entries.flatMap(([id, text]) => {
      const entry: unknown = JSON.parse(text);
      if (mismatchOf(entrySchema, entry) !== undefined) return [];
      const fields = entry as Omit<Holding, 'id' | 'canGo'>;
      return [{ id, ...fields, canGo: fields.isOver }];
    });
  }
}
