import type { Redis } from 'ioredis';

import type { QueuedJob } from './bullmq-flow.js';
import { JOBS } from './redis.js';
import { scriptOf, type Script } from './scripts.js';

/** Sets a job's data if its marks are still those that were read, and its round is still over, or still is not. */
const SWAP = `
local id, current, round, isCancelled, phase, data = unpack(ARGV)
local all = 'bull:${JOBS}:'
local known = redis.call('HGET', all .. id, 'data')
if not known then return 0 end
local marks = cjson.decode(known)
if tostring(marks.isCancelled) ~= isCancelled or marks.round ~= tonumber(round) then return 0 end
local isOver = redis.call('ZSCORE', all .. 'completed', current) or redis.call('ZSCORE', all .. 'failed', current)
if (isOver and 'over' or 'open') ~= phase then return 0 end
redis.call('HSET', all .. id, 'data', data)
return 1
`;

/** What a job's data was when it was read, and what it is to be. */
export interface Swap {
  before: QueuedJob;
  after: QueuedJob;
  /** The id of the round that was current, and whether it was over. */
  current: string;
  phase: 'open' | 'over';
}

/** The marks of jobs that requests change: two changes at one moment come one after the other. */
export class Marks {
  readonly #swap: Script;

  constructor(redis: Redis) {
    this.#swap = scriptOf(redis, 'dpmSwap', SWAP);
  }

  /** Changes a job's data, unless somebody else has changed it since it was read; tells whether it was changed. */
  async swap({ before, after, current, phase }: Swap): Promise<boolean> {
    const { job, round, isCancelled } = before;
    const data = JSON.stringify(after);
    return (await this.#swap(job.id, current, round, String(isCancelled), phase, data)) === 1;
  }
}
