-- Takes waiting jobs for a worker: the one way by which a job becomes active.
--
-- The inner commands of one job are those that the stored form demands (hash, lock, event); everything that holds for
-- the whole queue is read and written once for all jobs of a call.
--
-- @use lib/event, lib/marker, lib/place

-- Delayed jobs that are due go to where they wait; at most 1,000 a call.
local function promote_due(q, now)
  local due = call('ZRANGEBYSCORE', q.delayed, 0, (now + 1) * 4096 - 1, 'LIMIT', 0, 1000)
  if #due == 0 then
    return
  end
  call('ZREM', q.delayed, unpack(due))
  for _, id in ipairs(due) do
    local key = q.prefix .. id
    local job = redis.pcall('HMGET', key, 'timestamp', 'priority')
    if not job.err and job[1] then
      call('HSET', key, 'delay', 0)
      place_waiting(q, id, tonumber(job[2]) or 0, false, 'delayed')
    end
  end
end

-- Makes one job active and appends id and hash to `taken`. The hash is the one before: the caller knows what is added.
local function take_one(q, id, now, token, lock_ms, worker_name, taken)
  local key = q.prefix .. id
  -- A key of another type is no job either; an error here would lose what was taken beside it.
  local job = redis.pcall('HGETALL', key)
  if job.err or #job == 0 then
    return false, false
  end
  local started, deferred = 0, false
  for at = 1, #job, 2 do
    if job[at] == 'ats' then
      started = tonumber(job[at + 1]) or 0
    elseif job[at] == 'defa' then
      deferred = true
    end
  end
  call('SET', key .. ':lock', token, 'PX', lock_ms)
  if worker_name ~= '' then
    call('HSET', key, 'processedOn', now, 'ats', started + 1, 'pb', worker_name)
  else
    call('HSET', key, 'processedOn', now, 'ats', started + 1)
  end
  emit(q.events, 'active', 'jobId', id, 'prev', 'waiting')
  taken[#taken + 1] = id
  taken[#taken + 1] = job
  return true, deferred
end

-- What holds for the whole queue, read once a call: paused, concurrency, max, duration, bound of the events.
local function read_meta(meta)
  return call('HMGET', meta, 'paused', 'concurrency', 'max', 'duration', 'opts.maxLenEvents')
end

-- Takes up to `wanted` jobs; `meta` is what read_meta gave. Gives { ms to wait for the rate limit, ms of next due job,
-- id, hash, id, hash ... }; the second is 0 also when the queue had enough, for then nobody waits for it.
local function take_jobs(q, meta, now, wanted, token, lock_ms, worker_name, limiter_max, limiter_duration)
  local taken = { 0, 0 }
  promote_due(q, now)
  local max = tonumber(meta[3] or limiter_max)
  if max then
    local started = tonumber(call('GET', q.limiter) or 0)
    if started >= max then
      local rest = call('PTTL', q.limiter)
      if rest > 0 then
        taken[1] = rest
        taken[2] = next_due(q.delayed)
        return taken
      end
      call('DEL', q.limiter)
      started = 0
    end
    wanted = math.min(wanted, max - started)
  end
  if meta[1] then
    return taken
  end
  if meta[2] then
    wanted = math.min(wanted, tonumber(meta[2]) - call('LLEN', q.active))
    if wanted <= 0 then
      return taken
    end
  end

  local got, counted, gone = 0, 0, 0
  -- An id whose hash is gone is no job: it is dropped, and another one taken instead, within bounds.
  local function take_ids(ids, step)
    local live = {}
    for at = 1, #ids, step do
      local is_job, deferred = take_one(q, ids[at], now, token, lock_ms, worker_name, taken)
      if is_job then
        live[#live + 1] = ids[at]
        counted = counted + (deferred and 0 or 1)
      else
        gone = gone + 1
      end
    end
    if #live > 0 then
      call('LPUSH', q.active, unpack(live))
      got = got + #live
    end
  end
  while got < wanted and gone < 1000 do
    local ids = call('RPOP', q.wait, math.min(wanted - got, 1000))
    if not ids or #ids == 0 then
      break
    end
    take_ids(ids, 1)
  end
  local drained = false
  while got < wanted and gone < 1000 do
    local ids = call('ZPOPMIN', q.prioritized, math.min(wanted - got, 1000))
    if #ids == 0 then
      call('DEL', q.pc)
      drained = true
      break
    end
    take_ids(ids, 2)
  end

  if max and counted > 0 and call('INCRBY', q.limiter, counted) == counted then
    call('PEXPIRE', q.limiter, tonumber(limiter_duration) or tonumber(meta[4]) or 1000)
  end
  if drained then
    taken[2] = next_due(q.delayed)
  else
    mark_work(q.marker)
  end
  return taken
end
