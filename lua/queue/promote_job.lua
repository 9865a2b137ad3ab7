-- Lets a delayed job run now.
--
-- @key job
-- @key delayed
-- @key wait
-- @key prioritized
-- @key pc
-- @key active
-- @key meta
-- @key marker
-- @key events
-- @key groups:*  see lib/groups
-- @arg id
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
local prefix = string.sub(job, 1, #job - #id)
if call('ZREM', delayed, id) == 0 and call('ZREM', prefix .. 'groups:delayed', id) == 0 then
  return redis.error_reply('NOTINSTATE job ' .. id .. ' is not delayed')
end
call('HSET', job, 'delay', 0)
local q = { prefix = prefix, wait = wait, prioritized = prioritized, pc = pc, events = events }
place_waiting(q, id, tonumber(call('HGET', job, 'priority')) or 0, false, 'delayed')
mark_unless_held(marker, meta, active)
trim_events(events, meta)
return 1
