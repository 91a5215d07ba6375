import { JOBS } from './redis.js';

/** The channel on which changed jobs are announced. */
export const CHANGED = 'dpm-changed';

/** The keys of the ledger. */
export const keys = {
  /** A hash: `jobs STATE` is a number of jobs, `rows QUEUE` thousandths of rows that they wait for. */
  figures: 'dpm-jobs:figures',
  /** A hash: what each job has added to the figures, by id. */
  entries: 'dpm-jobs:entries',
  /** A sorted set of the places of all jobs; `order:TENANT` has those of a client. */
  order: 'dpm-jobs:order',
  /** Sorted sets of the ids in BullMQ's sets of the same names, by the times when they ended. */
  over: 'dpm-jobs:over',
  /** There once the jobs of earlier versions are noted. */
  ready: 'dpm-jobs:ready',
  /** The last event of the queue that was looked at. */
  seen: 'dpm-jobs:seen',
} as const;

/** Old jobs that are looked for at once. */
const MOST_FORGOTTEN = 1000;

const helpers = `
local call = redis.call
local all = 'bull:${JOBS}:'
local sets = { 'completed', 'failed' }

local function count(field, by)
  -- Lua would write large numbers with an exponent.
  if by ~= 0 then return call('HINCRBY', '${keys.figures}', field, string.format('%.0f', by)) end
end

local function add(entry, sign)
  local jobs = 'jobs ' .. entry.state
  if count(jobs, sign) == 0 then call('HDEL', '${keys.figures}', jobs) end
  -- The rows of a queue stay when they are 0: who scales by them takes a figure that is missing for a failure.
  count('rows ' .. entry.queue, sign * entry.left)
end

local function forget(id, entry)
  add(entry, -1)
  call('HDEL', '${keys.entries}', id)
  call('ZREM', '${keys.order}', entry.place)
  call('ZREM', '${keys.order}:' .. entry.tenant, entry.place)
  for _, set in ipairs(sets) do call('ZREM', '${keys.over}:' .. set, id) end
end

-- The marks are the last fields of the data; decoding all of it would take long for jobs with a label for each sample.
local function marks(data)
  local round, before, isCancelled =
    string.match(string.sub(data, -100), '"round":(%d+),"before":(%d+),"isCancelled":(%a+)}$')
  if round then return tonumber(round), tonumber(before), isCancelled == 'true' end
  local decoded = cjson.decode(data)
  return decoded.round, decoded.before, decoded.isCancelled
end
`;

const state = `
local function look(id, data, entry)
  local round, before, isCancelled = marks(data)
  local current = id
  if round > 0 then
    local later = call('HGET', all .. id .. '.' .. round, 'data')
    if later then
      current = id .. '.' .. round
      local _, done = marks(later)
      before = done
    end
  end
  local done = before + call('HLEN', all .. current .. ':processed')
  local failures = call('HLEN', all .. current .. ':failed')
  local now = 'queued'
  if isCancelled then now = 'cancelled'
  elseif call('ZSCORE', all .. 'completed', current) then now = 'done'
  elseif call('ZSCORE', all .. 'failed', current) then now = 'failed'
  elseif done + failures > 0 or (call('HGET', all .. current, 'progress') or '0') ~= '0' then now = 'running' end
  entry.state = now
  entry.left = 0
  if now == 'queued' or now == 'running' then
    entry.left = math.floor(entry.rows * (entry.chunks - done - failures) / entry.chunks + 0.5)
  end
  return now .. ' ' .. done .. ' ' .. failures
end

-- BullMQ removes old jobs when others end, the oldest first, and tells nobody.
local function forgetOld(set)
  for _, id in ipairs(call('ZRANGE', '${keys.over}:' .. set, 0, ${MOST_FORGOTTEN - 1})) do
    if call('EXISTS', all .. id) == 1 then return end
    local text = call('HGET', '${keys.entries}', id)
    if text then forget(id, cjson.decode(text)) else call('ZREM', '${keys.over}:' .. set, id) end
  end
end
`;

/** Notes a job: its id, and its facts for a first entry. Its answer is 0 where there is neither an entry nor facts. */
export const noteScript = `${helpers}${state}
local id, facts = ARGV[1], ARGV[2]
-- A user of Redis may not be allowed to publish; figures are kept all the same.
local function tell() redis.pcall('PUBLISH', '${CHANGED}', id) end

local text = call('HGET', '${keys.entries}', id)
local data = call('HGET', all .. id, 'data')
if not data then
  if text then
    forget(id, cjson.decode(text))
    tell()
  end
  return 1
end
if not text and facts == '' then return 0 end
local entry = cjson.decode(text or facts)
local told = entry.told
if text then add(entry, -1) end
entry.told = look(id, data, entry)
add(entry, 1)
if not text then
  call('ZADD', '${keys.order}', 0, entry.place)
  call('ZADD', '${keys.order}:' .. entry.tenant, 0, entry.place)
end
for _, set in ipairs(sets) do
  local ended = call('ZSCORE', all .. set, id)
  if ended then call('ZADD', '${keys.over}:' .. set, ended, id) else call('ZREM', '${keys.over}:' .. set, id) end
end
if entry.told ~= told then
  -- cjson writes 14 digits, which is all of thousandths up to 100 billion rows.
  call('HSET', '${keys.entries}', id, cjson.encode(entry))
  tell()
end
for _, set in ipairs(sets) do forgetOld(set) end
return 1
`;
