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
-- @arg reset          1 forgets the attempts made so far
-- @ret 1
-- @err JOBNOTFOUND NOTINSTATE
-- @use lib/event, lib/marker, lib/place

if call('EXISTS', job) == 0 then
  return redis.error_reply('JOBNOTFOUND job ' .. id .. ' does not exist')
end
if call('ZREM', finished_set, id) == 0 then
  return redis.error_reply('NOTINSTATE job ' .. id .. ' is not ' .. from)
end
call('HDEL', job, 'finishedOn', 'processedOn', from == 'failed' and 'failedReason' or 'returnvalue')
if reset == '1' then
  call('HDEL', job, 'atm', 'ats')
end
local fields = call('HMGET', job, 'priority', 'parentKey')
if fields[2] and call('EXISTS', fields[2]) == 1 then
  call('SADD', fields[2] .. ':dependencies', job)
  call('ZREM', fields[2] .. ':unsuccessful', job)
  call('HDEL', fields[2] .. ':failed', job)
  call('HDEL', fields[2] .. ':processed', job)
end
local q = { wait = wait, prioritized = prioritized, pc = pc, events = events }
place_waiting(q, id, tonumber(fields[1]) or 0, false, from)
mark_unless_held(marker, meta, active)
trim_events(events, meta)
return 1
