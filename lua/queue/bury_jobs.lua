-- Moves jobs that have failed for good to the dead letters of another queue.
--
-- Each stands alone: one that is refused (its reply is an error) stays as it is and stops no other.
--
-- @key wait
-- @key active
-- @key prioritized
-- @key pc
-- @key delayed
-- @key meta
-- @key marker
-- @key events
-- @key stalled
-- @key failed
-- @key metrics_failed
-- @key prefix
-- @key letters        first part of the keys of the queue of letters, in the same slot
-- @key <id>           hash of each job, with its further keys
-- @key <parent>:*     keys of the parent of a child, in the same slot
-- @arg now
-- @arg queue          name of the queue
-- @arg metrics_points minutes of counts that stay, 0 counts none
-- @arg limit          letters that stay
-- @arg ...burials     8 each: id, token of its lock ('' for a job among the failed ones), when it failed as ISO text,
--                     failed reason, stack traces as JSON, attempts made, deduplication id, why it is dead
-- @ret 1 or an error for each
-- @err JOBNOTFOUND LOCKMISSING LOCKMISMATCH NOTINSTATE
-- @use lib/active, lib/deduplication, lib/event, lib/groups, lib/job_address, lib/job_keys, lib/letter, lib/marker
-- @use lib/metrics, lib/parent, lib/queue_keys

local q = {
  prefix = prefix, wait = wait, active = active, prioritized = prioritized, pc = pc, delayed = delayed, meta = meta,
  marker = marker, events = events,
}
local to = queue_keys(letters)
now = tonumber(now)
local failures, posted = 0, 0

local function bury(at)
  local id, token = burials[at + 1], burials[at + 2]
  local key = prefix .. id
  local fields, job = call('HGETALL', key), {}
  for field = 1, #fields, 2 do
    job[fields[field]] = fields[field + 1]
  end
  if not job.timestamp then
    return redis.error_reply('JOBNOTFOUND job ' .. id .. ' does not exist')
  end
  local text, stacktrace, attempts = burials[at + 4], burials[at + 5], burials[at + 6]
  if token == '' then
    if call('ZREM', failed, id) == 0 then
      return redis.error_reply('NOTINSTATE job ' .. id .. ' is not failed')
    end
    -- Its last attempt may have ended since the job was read.
    text, attempts, stacktrace = job.failedReason or text, job.atm or attempts, job.stacktrace or stacktrace
  else
    local owner = call('GET', key .. ':lock')
    if not owner then
      return redis.error_reply('LOCKMISSING job ' .. id .. ' is locked by nobody')
    end
    if owner ~= token then
      return redis.error_reply('LOCKMISMATCH job ' .. id .. ' is locked by another worker')
    end
    if not leave_active(active, { id })[id] then
      return redis.error_reply('NOTINSTATE job ' .. id .. ' is not active')
    end
    call('SREM', stalled, id)
    if job.gid then
      release_group(prefix, id)
    end
    if burials[at + 7] ~= '' then
      release_deduplication(q, burials[at + 7], id, now)
    end
    local parent_prefix, parent_id, flags = parent_of(job.parent, job.parentKey)
    if parent_prefix then
      -- Without a flag its parent waits on: the job may come back.
      child_failed(parent_prefix, parent_id, key, flags, text, now, false)
    end
    emit(events, 'failed', 'jobId', id, 'failedReason', text, 'prev', 'active')
    emit(events, 'retries-exhausted', 'jobId', id, 'attemptsMade', attempts)
    failures = failures + 1
  end
  post_letter(to, queue, id, job, {
    at = burials[at + 3], text = text, stacktrace = stacktrace, attempts = attempts, reason = burials[at + 8],
  }, now)
  delete_job(key)
  posted = posted + 1
  return 1
end

local results = {}
for at = burials_offset, #burials - 8, 8 do
  local ran, result = pcall(bury, at)
  results[#results + 1] = ran and result or { err = type(result) == 'table' and result.err or tostring(result) }
end
if posted > 0 then
  bound_letters(to, tonumber(limit))
  mark_unless_held(to.marker, to.meta, to.active)
  trim_events(to.events, to.meta)
end
if failures > 0 then
  if metrics_points ~= '0' then
    count_finished(metrics_failed, failures, tonumber(metrics_points), now)
  end
  if call('LLEN', wait) + call('ZCARD', prioritized) > 0 then
    mark_unless_held(marker, meta, active)
  elseif call('LLEN', active) == 0 then
    emit(events, 'drained')
  end
  trim_events(events, meta)
end
return results
