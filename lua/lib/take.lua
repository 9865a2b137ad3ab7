-- Takes waiting jobs for a worker: the one way by which a job becomes active.
--
-- The inner commands of one job are those that the stored form demands (hash, lock, event); everything that holds for
-- the whole queue is read and written once for all jobs of a call. What is written is text from the start: a number
-- costs more to format than most commands to run.
--
-- @use lib/event, lib/groups, lib/marker, lib/place

-- Delayed jobs that are due go to where they wait; at most 1,000 a call.
local function promote_due(q, delayed, now)
  local due = call('ZRANGEBYSCORE', delayed, 0, (now + 1) * 4096 - 1, 'LIMIT', 0, 1000)
  if #due == 0 then
    return
  end
  call('ZREM', delayed, unpack(due))
  for _, id in ipairs(due) do
    local key = q.prefix .. id
    local job = redis.pcall('HMGET', key, 'timestamp', 'priority')
    if not job.err and job[1] then
      call('HSET', key, 'delay', '0')
      place_waiting(q, id, tonumber(job[2]) or 0, false, 'delayed')
    end
  end
end

-- Reads a job. A plain one was never touched since it was added and has these fields only; it comes as their values and
-- a 1: most jobs do, and names cost as much as values. Any other comes as its whole hash; nil stands for no job. A key of
-- another type is no job either; an error here would lose what was taken beside it.
local function read_job(key)
  local job = redis.pcall('HMGET', key, 'name', 'data', 'opts', 'timestamp', 'delay', 'priority')
  if job.err then
    return nil
  end
  if job[1] and job[2] and job[3] and job[4] and job[5] and job[6] and call('HLEN', key) == 6 then
    job[7] = 1
    return job, '1', false
  end
  job = call('HGETALL', key)
  if #job == 0 then
    return nil
  end
  local started, deferred = '1', false
  for at = 1, #job, 2 do
    local field = job[at]
    if field == 'ats' then
      started = string.format('%d', (tonumber(job[at + 1]) or 0) + 1)
    elseif field == 'defa' then
      deferred = true
    end
  end
  return job, started, deferred
end

-- Makes one job active and appends id and job to `taken`. The job is the one before: the caller knows what is added.
local function take_one(q, id, take, taken)
  local key = q.prefix .. id
  local job, started, deferred = read_job(key)
  if not job then
    return false, false
  end
  call('SET', key .. ':lock', take.token, 'PX', take.lock_ms)
  if take.worker_name ~= '' then
    call('HSET', key, 'processedOn', take.time, 'ats', started, 'pb', take.worker_name)
  else
    call('HSET', key, 'processedOn', take.time, 'ats', started)
  end
  call('XADD', q.events, '*', 'event', 'active', 'jobId', id, 'prev', 'waiting')
  taken[#taken + 1] = id
  taken[#taken + 1] = job
  return true, deferred
end

-- When something is due next, or 0.
local function due_next(q)
  local due = next_due(q.delayed)
  local of_groups = q.grouped and groups_due(q.prefix)
  return of_groups and (due == 0 or of_groups < due) and of_groups or due
end

-- What holds for the whole queue, read once a call: paused, concurrency, max, duration, bound of the events,
-- and whether it has groups.
local function read_meta(meta)
  return call('HMGET', meta, 'paused', 'concurrency', 'max', 'duration', 'opts.maxLenEvents', 'groups')
end

-- `take` has what the caller was given, all of it as text: time (now), wanted, ahead, token, lock_ms, worker_name,
-- limiter_max, limiter_ms; where nothing bounds the whole queue, `ahead` jobs are taken beyond those wanted; `meta` is what read_meta gave. Gives { ms to wait for the rate limit, ms of next due job,
-- id, job, id, job ... }; the second is 0 also when the queue had enough, for then nobody waits for it.
local function take_jobs(q, meta, take)
  local taken = { 0, 0 }
  local now, wanted = tonumber(take.time), tonumber(take.wanted)
  if meta[1] and call('EXISTS', q.prefix .. 'paused') == 1 then
    -- A version before 6 has paused the queue: its resume would write over what became due now.
    return taken
  end
  q.grouped = meta[6] and true or false
  promote_due(q, q.delayed, now)
  if q.grouped then
    promote_due(q, q.prefix .. 'groups:delayed', now)
  end
  local max = tonumber(meta[3] or take.limiter_max)
  if max then
    local started = tonumber(call('GET', q.limiter) or 0)
    if started >= max then
      local rest = call('PTTL', q.limiter)
      if rest > 0 then
        taken[1] = rest
        taken[2] = due_next(q)
        return taken
      end
      call('DEL', q.limiter)
      started = 0
    end
    wanted = math.min(wanted, max - started)
  elseif not meta[2] then
    wanted = wanted + tonumber(take.ahead)
  end
  if meta[1] then
    return taken
  end
  if meta[2] then
    wanted = math.min(wanted, tonumber(meta[2]) - call('LLEN', q.active))
  end
  if wanted <= 0 then
    return taken
  end

  local got, counted, gone = 0, 0, 0
  local own = math.min(wanted, tonumber(take.wanted))
  -- An id whose hash is gone is no job: it is dropped, and another one taken instead, within bounds.
  local function take_ids(ids, step)
    local live = {}
    for at = 1, #ids, step do
      local group = q.grouped and call('HGET', q.prefix .. ids[at], 'gid')
      local is_job, deferred = false, false
      if group then
        -- Only a stock worker's look for stalled jobs puts one here.
        release_group(q.prefix, ids[at])
        local priority = tonumber(call('HGET', q.prefix .. ids[at], 'priority')) or 0
        place_in_group(q, group, ids[at], priority, true, 'active')
      else
        is_job, deferred = take_one(q, ids[at], take, taken)
      end
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

  if q.grouped and got < own then
    local live = {}
    -- One after the other, so that no group gets ahead of its turn; none beyond those wanted.
    got = got + take_from_groups(q.prefix, now, own - got, function(id)
      local is_job, deferred = take_one(q, id, take, taken)
      if is_job then
        live[#live + 1] = id
        counted = counted + (deferred and 0 or 1)
      end
      return is_job, deferred
    end)
    if #live > 0 then
      call('LPUSH', q.active, unpack(live))
    end
  end
  drained = drained and not (q.grouped and groups_wait(q.prefix))

  if max and counted > 0 and call('INCRBY', q.limiter, counted) == counted then
    call('PEXPIRE', q.limiter, tonumber(take.limiter_ms) or tonumber(meta[4]) or 1000)
  end
  if drained then
    taken[2] = due_next(q)
  else
    mark_work(q.marker)
  end
  return taken
end
