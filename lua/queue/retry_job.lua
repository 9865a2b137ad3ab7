-- Puts a finished job back to where jobs wait.
--
-- @key job
-- @key finished_set   completed or failed
-- @key wait
-- @key prioritized
-- @key pc
-- @key active
-- @key meta
-- @key marker
-- @key events
-- @key <parent>:dependencies
-- @arg id
-- @arg from           completed or failed
-- @arg reset          'm' forgets the attempts made so far, 's' those started, 'ms' both
-- @ret 1
-- @err JOBNOTFOUND NOTINSTATE INCOMPATIBLEDATA
-- @use lib/event, lib/marker, lib/old_pause, lib/place

local refusal = paused_by_old_version(meta, string.sub(job, 1, #job - #id) .. 'paused')
if refusal then
  return refusal
end
if call('EXISTS', job) == 0 then
  return redis.error_reply('JOBNOTFOUND job ' .. id .. ' does not exist')
end
if call('ZREM', finished_set, id) == 0 then
  return redis.error_reply('NOTINSTATE job ' .. id .. ' is not ' .. from)
end
call('HDEL', job, 'finishedOn', 'processedOn', 'defa', from == 'failed' and 'failedReason' or 'returnvalue')
if string.find(reset, 'm', 1, true) then
  call('HDEL', job, 'atm')
end
if string.find(reset, 's', 1, true) then
  call('HDEL', job, 'ats')
end
local fields = call('HMGET', job, 'priority', 'parentKey')
if fields[2] and call('EXISTS', fields[2]) == 1 then
  -- Its parent waits for it again, if it does, where it had counted it as done.
  local counted = from == 'failed'
    and call('ZREM', fields[2] .. ':unsuccessful', job) + call('HDEL', fields[2] .. ':failed', job)
    or call('HDEL', fields[2] .. ':processed', job)
  if counted > 0 then
    call('SADD', fields[2] .. ':dependencies', job)
  end
end
local q = { prefix = string.sub(job, 1, #job - #id), wait = wait, prioritized = prioritized, pc = pc, events = events }
place_waiting(q, id, tonumber(fields[1]) or 0, false, from)
mark_unless_held(marker, meta, active)
trim_events(events, meta)
return 1
