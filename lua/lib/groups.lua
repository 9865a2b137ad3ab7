-- Jobs of groups wait in keys of their own, which no stock worker takes from.
--
--   groups              sorted set: groups whose turn may come, by turn. Only groups with waiting jobs are in it, so an
--                       empty one costs nothing, and one that has reached a bound leaves it until something changes.
--   groups:sizes        sorted set: groups with waiting jobs, by their number
--   groups:state        hash: turn and places (counters), waiting (jobs in all groups), and the limits of all groups:
--                       concurrency, max, ms; overrides is there when a group has limits of its own
--   groups:concurrency  hash: bound of a group's own;  groups:limits  hash: `max:ms` of a group's own
--   groups:active       hash: running jobs of each group;  groups:running  hash: group of each running job
--   groups:limited      sorted set: groups that must rest, by the time when they may go on
--   groups:paused       set;  groups:delayed  sorted set, scored like `delayed`
--   groups::jobs:<id>   sorted set: waiting jobs of a group, by priority, then place
--   groups::rate:<id>   counter of jobs started in a group's period
--
-- @use lib/event

local function group_jobs(prefix, group)
  return prefix .. 'groups::jobs:' .. group
end

-- Lets a group with waiting jobs have its turn, unless something holds it.
local function offer_group(prefix, group)
  if call('SISMEMBER', prefix .. 'groups:paused', group) == 0
    and not call('ZSCORE', prefix .. 'groups:limited', group) then
    call('ZADD', prefix .. 'groups', 'NX', call('HINCRBY', prefix .. 'groups:state', 'turn', 1), group)
  end
end

-- Within a priority the places of jobs that go to the front count downwards from the middle.
local function group_score(prefix, priority, front)
  local place = call('HINCRBY', prefix .. 'groups:state', 'places', 1) % 2147483648
  return string.format('%.0f', priority * 4294967296 + 2147483648 + (front and -place or place))
end

local function place_in_group(q, group, id, priority, front, prev)
  call('ZADD', group_jobs(q.prefix, group), group_score(q.prefix, priority, front), id)
  call('HINCRBY', q.prefix .. 'groups:state', 'waiting', 1)
  if tonumber(call('ZINCRBY', q.prefix .. 'groups:sizes', 1, group)) == 1 then
    offer_group(q.prefix, group)
  end
  if prev then
    emit(q.events, 'waiting', 'jobId', id, 'prev', prev)
  else
    emit(q.events, 'waiting', 'jobId', id)
  end
end

-- A waiting job of the group is gone. True while others are left.
local function shrink_group(prefix, group)
  call('HINCRBY', prefix .. 'groups:state', 'waiting', -1)
  if tonumber(call('ZINCRBY', prefix .. 'groups:sizes', -1, group)) > 0 then
    return true
  end
  call('ZREM', prefix .. 'groups:sizes', group)
  call('ZREM', prefix .. 'groups', group)
  return false
end

-- A job that a worker took for its group no longer runs.
local function release_group(prefix, id)
  local group = call('HGET', prefix .. 'groups:running', id)
  if group then
    call('HDEL', prefix .. 'groups:running', id)
    if call('HINCRBY', prefix .. 'groups:active', group, -1) <= 0 then
      call('HDEL', prefix .. 'groups:active', group)
    end
    if call('ZSCORE', prefix .. 'groups:sizes', group) then
      offer_group(prefix, group)
    end
  end
  return group
end

-- Takes a job out of wherever its group has it; gives the state that it was in, or nil.
local function leave_group(prefix, group, id)
  if call('ZREM', group_jobs(prefix, group), id) == 1 then
    shrink_group(prefix, group)
    return 'waiting'
  end
  if call('ZREM', prefix .. 'groups:delayed', id) == 1 then
    return 'delayed'
  end
  release_group(prefix, id)
end

-- Where a job stands among the grouped ones: waiting, delayed or nil.
local function state_in_group(prefix, id)
  local group = call('HGET', prefix .. id, 'gid')
  if group and call('ZSCORE', group_jobs(prefix, group), id) then
    return 'waiting'
  end
  if group and call('ZSCORE', prefix .. 'groups:delayed', id) then
    return 'delayed'
  end
end

-- When the first of the given sorted set is due, in milliseconds, or nil.
local function first_due(set, scale)
  local first = call('ZRANGE', set, 0, 0, 'WITHSCORES')
  return first[2] and math.floor(tonumber(first[2]) / scale)
end

-- When something of a group is due next, or nil.
local function groups_due(prefix)
  local delayed, limited = first_due(prefix .. 'groups:delayed', 4096), first_due(prefix .. 'groups:limited', 1)
  return delayed and limited and math.min(delayed, limited) or delayed or limited
end

-- Whether a group may have its turn.
local function groups_wait(prefix)
  return call('EXISTS', prefix .. 'groups') == 1
end

-- Groups whose rest is over go on; at most 1,000 a call.
local function end_group_limits(prefix, now)
  local free = call('ZRANGEBYSCORE', prefix .. 'groups:limited', '-inf', now, 'LIMIT', 0, 1000)
  if #free > 0 then
    call('ZREM', prefix .. 'groups:limited', unpack(free))
    for _, group in ipairs(free) do
      if call('ZSCORE', prefix .. 'groups:sizes', group) then
        offer_group(prefix, group)
      end
    end
  end
end

-- Lets a group rest until then.
local function limit_group(prefix, group, until_ms)
  call('ZADD', prefix .. 'groups:limited', until_ms, group)
  call('ZREM', prefix .. 'groups', group)
end

-- Chooses up to `wanted` jobs, one of each group in turn. `run` makes a job active, and tells whether it is one and
-- whether it counts for rate limits. Bounded: a group that may not go on is looked at once, and then only when something
-- has changed.
local function take_from_groups(prefix, now, wanted, run)
  end_group_limits(prefix, now)
  local limits = call('HMGET', prefix .. 'groups:state', 'concurrency', 'max', 'ms', 'overrides')
  local looks, got = 0, 0
  while got < wanted and looks < wanted + 1000 do
    looks = looks + 1
    local group = call('ZPOPMIN', prefix .. 'groups')[1]
    if not group then
      break
    end
    local most, max, ms = tonumber(limits[1]), tonumber(limits[2]), tonumber(limits[3])
    if limits[4] then
      most = tonumber(call('HGET', prefix .. 'groups:concurrency', group) or '') or most
      local own = call('HGET', prefix .. 'groups:limits', group)
      if own then
        local own_max, own_ms = string.match(own, '^(%d+):(%d+)$')
        max, ms = tonumber(own_max), tonumber(own_ms)
      end
    end
    local rate = prefix .. 'groups::rate:' .. group
    local is_full = most and tonumber(call('HGET', prefix .. 'groups:active', group) or 0) >= most
    local rest = 0
    if max and not is_full and tonumber(call('GET', rate) or 0) >= max then
      rest = call('PTTL', rate)
      if rest <= 0 then
        call('DEL', rate)
      end
    end
    if rest > 0 then
      limit_group(prefix, group, now + rest)
    elseif not is_full then
      local id = call('ZPOPMIN', group_jobs(prefix, group))[1]
      local is_left = id and shrink_group(prefix, group)
      local is_job, is_deferred
      if id then
        is_job, is_deferred = run(id)
      end
      if is_job then
        got = got + 1
        call('HINCRBY', prefix .. 'groups:active', group, 1)
        call('HSET', prefix .. 'groups:running', id, group)
        if max and not is_deferred and call('INCR', rate) == 1 then
          call('PEXPIRE', rate, ms)
        end
      end
      if is_left then
        call('ZADD', prefix .. 'groups', call('HINCRBY', prefix .. 'groups:state', 'turn', 1), group)
      end
    end
  end
  return got
end
