-- Gives a delayed job another due time.
--
-- @key job
-- @key delayed
-- @key meta
-- @key marker
-- @key events
-- @key groups:*  see lib/groups
-- @arg id
-- @arg delay  milliseconds from now
-- @arg due
-- @ret 1
-- @err JOBNOTFOUND NOTINSTATE
-- @use lib/event, lib/marker, lib/place

if call('EXISTS', job) == 0 then
  return redis.error_reply('JOBNOTFOUND job ' .. id .. ' does not exist')
end
local prefix = string.sub(job, 1, #job - #id)
if call('ZREM', delayed, id) == 0 and call('ZREM', prefix .. 'groups:delayed', id) == 0 then
  return redis.error_reply('NOTINSTATE job ' .. id .. ' is not delayed')
end
call('HSET', job, 'delay', delay)
place_delayed({ prefix = prefix, delayed = delayed, marker = marker, events = events }, id, tonumber(due))
mark_delayed(marker, delayed)
trim_events(events, meta)
return 1
