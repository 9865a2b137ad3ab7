-- Stores what became of active jobs, and takes further ones for the slots that they leave.
--
-- Each outcome stands alone: one that is refused (its reply is an error) leaves its job untouched and stops no other.
-- What many outcomes have in common is passed and read once, as a profile; what can be asked for all jobs at once is.
--
-- @key wait
-- @key active
-- @key prioritized
-- @key pc
-- @key delayed
-- @key meta
-- @key marker
-- @key limiter
-- @key events
-- @key stalled
-- @key completed
-- @key failed
-- @key waiting_children
-- @key metrics_completed
-- @key metrics_failed
-- @key prefix
-- @key <id>           hash of each job, with its further keys
-- @key <parent>:*     keys of the parent of a child, in the same slot
-- @arg now
-- @arg metrics_points minutes of counts that stay, 0 counts none
-- @arg wanted         how many jobs to take afterwards, 0 for none
-- @arg ahead          how many beyond those, where nothing bounds the whole queue
-- @arg token          value of their locks
-- @arg lock_ms
-- @arg worker_name
-- @arg limiter_max
-- @arg limiter_ms
-- @arg profile_count
-- @arg ...outcomes    the profiles, 11 each: token, kind (completed, failed, retry, later, delayed, wait, release, children),
--                     stack traces as JSON, attempts made, due time, 1 for last-in-first-out, kept count, kept age,
--                     eviction limit, deduplication id, 1 for a job that came as its values only when it was taken, with
--                     this worker_name, or '';
--                     then the outcomes, 4 each: id, its time, result or reason, number of its profile
-- @ret { 1 or an error for each outcome, what fetch_jobs gives }
-- @err JOBNOTFOUND LOCKMISSING LOCKMISMATCH NOTINSTATE PENDINGCHILDREN FAILEDCHILDREN
-- @use lib/active, lib/deduplication, lib/event, lib/groups, lib/job_address, lib/job_keys, lib/keep, lib/marker, lib/metrics, lib/parent
-- @use lib/place, lib/take

local q = {
  prefix = prefix, wait = wait, active = active, prioritized = prioritized, pc = pc, delayed = delayed, meta = meta,
  marker = marker, limiter = limiter, events = events,
}
local time = now
now = tonumber(now)

local settings = read_meta(meta)
q.grouped = settings[6] and true or false

local profiles = {}
local at = outcomes_offset
for number = 1, tonumber(profile_count) do
  -- By its number as text, as the outcomes name it.
  profiles[tostring(number)] = {
    token = outcomes[at + 1], kind = outcomes[at + 2], stacktrace = outcomes[at + 3], attempts = outcomes[at + 4],
    due = outcomes[at + 5], lifo = outcomes[at + 6] == '1', kept_count = outcomes[at + 7], kept_age = outcomes[at + 8],
    evicted = outcomes[at + 9], deduplication = outcomes[at + 10], is_plain = outcomes[at + 11] == '1',
  }
  at = at + 11
end
local ids, keys, locks, ways, dependencies = {}, {}, {}, {}, {}
local first = at
for index = 1, (#outcomes - at) / 4 do
  local key = prefix .. outcomes[at + 1]
  ids[index], keys[index], ways[index] = outcomes[at + 1], key, profiles[outcomes[at + 4]]
  locks[index], dependencies[index] = key .. ':lock', key .. ':dependencies'
  at = at + 4
end

local finished = { completed = {}, failed = {} }
local finished_counts = { completed = 0, failed = 0 }
local removed = {}
local has_delayed = false

-- The end of most jobs, which are nobody's child and stay.
local completed_ends = finished.completed
local function complete(way, id, key, ended, text)
  finished_counts.completed = finished_counts.completed + 1
  call('HSET', key, 'returnvalue', text, 'finishedOn', ended, 'atm', way.attempts)
  completed_ends[#completed_ends + 1] = ended
  completed_ends[#completed_ends + 1] = id
  call('XADD', events, '*', 'event', 'completed', 'jobId', id, 'returnvalue', text, 'prev', 'active')
end

-- The two ends of a job.
local function finish(way, id, key, ended, text)
  local kind = way.kind
  if way.deduplication ~= '' then
    release_deduplication(q, way.deduplication, id, now)
  end
  -- As it stands now: the job may have got a parent since it was taken.
  local parent_key = call('HGET', key, 'parentKey')
  if parent_key then
    local parent_prefix, parent_id, flags = parent_of(call('HGET', key, 'parent'), parent_key)
    if parent_prefix and kind == 'completed' then
      child_completed(parent_prefix, parent_id, key, text, now)
    elseif parent_prefix then
      child_failed(parent_prefix, parent_id, key, flags, text, now, way.kept_count == '0')
    end
  end
  if kind == 'completed' and way.kept_count ~= '0' then
    complete(way, id, key, ended, text)
    return
  end
  finished_counts[kind] = finished_counts[kind] + 1
  if way.kept_count == '0' then
    removed[#removed + 1] = key
  else
    if way.stacktrace ~= '' then
      call('HSET', key, 'failedReason', text, 'finishedOn', ended, 'atm', way.attempts, 'stacktrace', way.stacktrace)
    else
      call('HSET', key, 'failedReason', text, 'finishedOn', ended, 'atm', way.attempts)
    end
    -- Whoever retries it shall not fail for the same reason.
    call('HDEL', key, 'defa')
    local set = finished.failed
    set[#set + 1] = ended
    set[#set + 1] = id
  end
  if kind == 'completed' then
    emit(events, 'completed', 'jobId', id, 'returnvalue', text, 'prev', 'active')
  else
    emit(events, 'failed', 'jobId', id, 'failedReason', text, 'prev', 'active')
    emit(events, 'retries-exhausted', 'jobId', id, 'attemptsMade', way.attempts)
  end
end

-- The ways of a job that is not at its end.
local function move(way, id, key, text)
  local kind = way.kind
  if kind == 'retry' or kind == 'later' then
    call('HSET', key, 'failedReason', text, 'stacktrace', way.stacktrace, 'atm', way.attempts)
  end
  if kind == 'release' then
    -- It never began.
    call('HINCRBY', key, 'ats', '-1')
  end
  if kind == 'later' or kind == 'delayed' then
    local due = tonumber(way.due)
    call('HSET', key, 'delay', math.max(due - now, 0))
    place_delayed(q, id, due)
    has_delayed = true
  elseif kind == 'children' and call('SCARD', key .. ':dependencies') > 0
      and call('ZCARD', key .. ':unsuccessful') == 0 then
    call('ZADD', waiting_children, time, id)
    emit(events, 'waiting-children', 'jobId', id, 'prev', 'active')
  else
    -- Also when the last child finished, or one failed, before its parent began to wait.
    local front = kind == 'wait' or kind == 'release' or kind == 'children' or way.lifo
    place_waiting(q, id, tonumber(call('HGET', key, 'priority')) or 0, front, 'active')
  end
end

local owners = call('MGET', unpack(locks))
local any_children = call('EXISTS', unpack(dependencies)) > 0
-- Fields of a plain job that runs. With no more it has no parent, and no child that failed: that leaves a field as well.
local plain_size = worker_name == '' and 8 or 9
local plain, other_keys, other_failures = {}, {}, {}
for index, key in ipairs(keys) do
  local way = ways[index]
  if way.is_plain and not any_children and owners[index] == way.token and redis.pcall('HLEN', key) == plain_size then
    plain[index] = true
  else
    other_keys[#other_keys + 1] = key
    other_failures[#other_failures + 1] = key .. ':unsuccessful'
  end
end
local all_exist = true
if #other_keys > 0 then
  all_exist = call('EXISTS', unpack(other_keys)) == #other_keys
  any_children = any_children or call('EXISTS', unpack(other_failures)) > 0
end

-- Why an outcome cannot be stored, or nil.
local function refusal(index)
  local id, key, way = ids[index], keys[index], ways[index]
  if not all_exist and call('EXISTS', key) == 0 then
    return redis.error_reply('JOBNOTFOUND job ' .. id .. ' does not exist')
  end
  if any_children and (way.kind == 'completed' or way.kind == 'children') then
    if way.kind == 'completed' and call('SCARD', key .. ':dependencies') > 0 then
      return redis.error_reply('PENDINGCHILDREN job ' .. id .. ' has children that are not finished')
    end
    if call('ZCARD', key .. ':unsuccessful') > 0 then
      return redis.error_reply('FAILEDCHILDREN job ' .. id .. ' has children that failed')
    end
  end
  if not owners[index] then
    return redis.error_reply('LOCKMISSING job ' .. id .. ' is locked by nobody')
  end
  if owners[index] ~= way.token then
    return redis.error_reply('LOCKMISMATCH job ' .. id .. ' is locked by another worker')
  end
end

-- A job with a key of a wrong type must not take the others with it, half-stored.
local function guarded(run, ...)
  local ran, result = pcall(run, ...)
  if ran then
    return result
  end
  return { err = type(result) == 'table' and result.err or tostring(result) }
end

local results, leaving = {}, {}
for index, id in ipairs(ids) do
  results[index] = plain[index] and 1 or guarded(refusal, index) or 1
  if results[index] == 1 then
    leaving[#leaving + 1] = id
  end
end
local left = leave_active(active, leaving)
local freed = {}
for index, id in ipairs(ids) do
  if results[index] == 1 and not left[id] then
    results[index] = redis.error_reply('NOTINSTATE job ' .. id .. ' is not active')
  elseif results[index] == 1 then
    left[id] = nil
    freed[#freed + 1] = locks[index]
    local way, ended, text = ways[index], outcomes[first + 4 * index - 2], outcomes[first + 4 * index - 1]
    if plain[index] and way.kind == 'completed' and way.kept_count ~= '0' then
      complete(way, id, keys[index], ended, text)
    else
      if q.grouped and not plain[index] then
        release_group(prefix, id)
      end
      if way.kind == 'completed' or way.kind == 'failed' then
        results[index] = guarded(finish, way, id, keys[index], ended, text) or 1
      else
        results[index] = guarded(move, way, id, keys[index], text) or 1
      end
    end
  end
end

if #freed > 0 then
  call('DEL', unpack(freed))
  call('SREM', stalled, unpack(leaving))
end
delete_jobs(removed)
local sets = { completed = completed, failed = failed }
local metrics = { completed = metrics_completed, failed = metrics_failed }
for kind, set in pairs(sets) do
  if #finished[kind] > 0 then
    call('ZADD', set, unpack(finished[kind]))
  end
  if metrics_points ~= '0' and finished_counts[kind] > 0 then
    count_finished(metrics[kind], finished_counts[kind], tonumber(metrics_points), now)
  end
end
local evaluated = {}
for _, way in pairs(profiles) do
  local kind, count, age = way.kind, way.kept_count, way.kept_age
  if sets[kind] and count ~= '0' and (count ~= '-1' or age ~= '') then
    local policy = kind .. ' ' .. count .. ' ' .. age .. ' ' .. way.evicted
    if not evaluated[policy] and finished_counts[kind] > 0 then
      evaluated[policy] = true
      -- More than come, so that they become fewer; not so many that the server is held up.
      local most = math.min(tonumber(way.evicted), math.max(2 * finished_counts[kind], 50))
      keep_finished(prefix, sets[kind], tonumber(count), age, most, kind == 'failed', now)
    end
  end
end
if has_delayed then
  mark_delayed(marker, delayed)
  local due = q.grouped and groups_due(prefix)
  if due then
    call('ZADD', marker, 'LT', due, '1')
  end
end

local taken = { 0, 0 }
if wanted ~= '0' or ahead ~= '0' then
  taken = take_jobs(q, settings, {
    time = time, wanted = wanted, ahead = ahead, token = token, lock_ms = lock_ms, worker_name = worker_name,
    limiter_max = limiter_max, limiter_ms = limiter_ms,
  })
end
if #taken == 2 and #freed > 0 then
  local waiting = call('LLEN', wait) + call('ZCARD', prioritized)
  if waiting > 0 or (q.grouped and groups_wait(prefix)) then
    -- A slot became free that nobody here uses.
    mark_unless_held(marker, meta, active)
  elseif finished_counts.completed + finished_counts.failed > 0 and call('LLEN', active) == 0 then
    emit(events, 'drained')
  end
end
trim_events(events, meta, settings[5])
return { results, taken }
