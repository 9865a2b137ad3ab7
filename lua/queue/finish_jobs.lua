-- Stores what became of active jobs, and takes further ones for the slots that they leave.
--
-- Each outcome stands alone: one that is refused (its reply is an error) leaves its job untouched and stops no other.
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
-- @arg token          value of their locks
-- @arg lock_ms
-- @arg worker_name
-- @arg limiter_max
-- @arg limiter_ms
-- @arg ...outcomes    16 each: id, token, kind (completed, failed, retry, later, delayed, wait, children), its time,
--                     result or reason, stack traces as JSON, attempts made, due time, 1 for last-in-first-out,
--                     kept count, kept age, eviction limit, deduplication id, parent prefix, parent id, parent policy
-- @ret { 1 or an error for each outcome, what fetch_jobs gives }
-- @err JOBNOTFOUND LOCKMISSING LOCKMISMATCH NOTINSTATE PENDINGCHILDREN FAILEDCHILDREN
-- @use lib/deduplication, lib/event, lib/job_keys, lib/keep, lib/marker, lib/metrics, lib/parent, lib/place, lib/take

local q = {
  prefix = prefix, wait = wait, active = active, prioritized = prioritized, pc = pc, delayed = delayed, meta = meta,
  marker = marker, limiter = limiter, events = events,
}
local stride = 16
now = tonumber(now)
local results, locks, ended = {}, {}, {}
local finished = { completed = {}, failed = {} }
local finished_counts = { completed = 0, failed = 0 }
local policies = {}
local has_delayed = false

-- The two ends of a job.
local function finish(kind, id, key, at)
  local time, text, attempts = outcomes[at + 4], outcomes[at + 5], outcomes[at + 7]
  local parent_prefix, parent_id = outcomes[at + 14], outcomes[at + 15]
  if outcomes[at + 13] ~= '' then
    release_deduplication(q, outcomes[at + 13], id, now)
  end
  if parent_prefix ~= '' then
    if kind == 'completed' then
      child_completed(parent_prefix, parent_id, key, text, now)
    else
      child_failed(parent_prefix, parent_id, key, outcomes[at + 16], text, now)
    end
  end
  finished_counts[kind] = finished_counts[kind] + 1
  if outcomes[at + 10] == '0' then
    delete_job(key)
  else
    if kind == 'completed' then
      call('HSET', key, 'returnvalue', text, 'finishedOn', time, 'atm', attempts)
    elseif outcomes[at + 6] ~= '' then
      call('HSET', key, 'failedReason', text, 'finishedOn', time, 'atm', attempts, 'stacktrace', outcomes[at + 6])
    else
      call('HSET', key, 'failedReason', text, 'finishedOn', time, 'atm', attempts)
    end
    local set = finished[kind]
    set[#set + 1] = time
    set[#set + 1] = id
    if outcomes[at + 10] ~= '-1' or outcomes[at + 11] ~= '' then
      local policy = kind .. ' ' .. outcomes[at + 10] .. ' ' .. outcomes[at + 11] .. ' ' .. outcomes[at + 12]
      policies[policy] = { kind, tonumber(outcomes[at + 10]), outcomes[at + 11], tonumber(outcomes[at + 12]) }
    end
  end
  if kind == 'completed' then
    emit(events, 'completed', 'jobId', id, 'returnvalue', text, 'prev', 'active')
  else
    emit(events, 'failed', 'jobId', id, 'failedReason', text, 'prev', 'active')
    emit(events, 'retries-exhausted', 'jobId', id, 'attemptsMade', attempts)
  end
end

-- The ways of a job that is not at its end.
local function move(kind, id, key, at)
  if kind == 'retry' or kind == 'later' then
    call('HSET', key, 'failedReason', outcomes[at + 5], 'stacktrace', outcomes[at + 6], 'atm', outcomes[at + 7])
  end
  if kind == 'later' or kind == 'delayed' then
    local due = tonumber(outcomes[at + 8])
    call('HSET', key, 'delay', math.max(due - now, 0))
    place_delayed(q, id, due)
    has_delayed = true
  elseif kind == 'children' then
    call('ZADD', waiting_children, now, id)
    emit(events, 'waiting-children', 'jobId', id, 'prev', 'active')
  else
    local front = kind == 'wait' or outcomes[at + 9] == '1'
    place_waiting(q, id, tonumber(call('HGET', key, 'priority')) or 0, front, 'active')
  end
end

local function settle(at)
  local id, kind = outcomes[at + 1], outcomes[at + 3]
  local key = prefix .. id
  local present = call('EXISTS', key, key .. ':dependencies', key .. ':unsuccessful')
  local pending = 0
  if present ~= 1 then
    if call('EXISTS', key) == 0 then
      return redis.error_reply('JOBNOTFOUND job ' .. id .. ' does not exist')
    end
    pending = call('SCARD', key .. ':dependencies')
    if kind == 'completed' and pending > 0 then
      return redis.error_reply('PENDINGCHILDREN job ' .. id .. ' has children that are not finished')
    end
    if (kind == 'completed' or kind == 'children') and call('ZCARD', key .. ':unsuccessful') > 0 then
      return redis.error_reply('FAILEDCHILDREN job ' .. id .. ' has children that failed')
    end
  end
  local lock = call('GET', key .. ':lock')
  if not lock then
    return redis.error_reply('LOCKMISSING job ' .. id .. ' is locked by nobody')
  end
  if lock ~= outcomes[at + 2] then
    return redis.error_reply('LOCKMISMATCH job ' .. id .. ' is locked by another worker')
  end
  if call('LREM', active, -1, id) == 0 then
    return redis.error_reply('NOTINSTATE job ' .. id .. ' is not active')
  end
  locks[#locks + 1] = key .. ':lock'
  ended[#ended + 1] = id
  if kind == 'completed' or kind == 'failed' then
    finish(kind, id, key, at)
  elseif kind == 'children' and pending == 0 then
    -- The last child finished before its parent began to wait.
    move('wait', id, key, at)
  else
    move(kind, id, key, at)
  end
  return 1
end

for at = outcomes_offset, #outcomes - stride, stride do
  -- A job with a key of a wrong type must not take the others with it, half-stored.
  local ran, result = pcall(settle, at)
  if not ran then
    result = { err = type(result) == 'table' and result.err or tostring(result) }
  end
  results[#results + 1] = result
end

if #ended > 0 then
  call('DEL', unpack(locks))
  call('SREM', stalled, unpack(ended))
end
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
for _, policy in pairs(policies) do
  keep_finished(prefix, sets[policy[1]], policy[2], policy[3], policy[4], now)
end
if has_delayed then
  mark_delayed(marker, delayed)
end

local settings = read_meta(meta)
local taken = { 0, 0 }
if wanted ~= '0' then
  taken = take_jobs(q, settings, now, tonumber(wanted), token, lock_ms, worker_name, limiter_max, limiter_ms)
end
if #taken == 2 and #ended > 0 then
  local waiting = call('LLEN', wait) + call('ZCARD', prioritized)
  if waiting > 0 then
    -- A slot became free that nobody here uses.
    mark_unless_held(marker, meta, active)
  elseif finished_counts.completed + finished_counts.failed > 0 and call('LLEN', active) == 0 then
    emit(events, 'drained')
  end
end
trim_events(events, meta, settings[5])
return { results, taken }
