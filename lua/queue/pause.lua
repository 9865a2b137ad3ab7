-- Stops every worker of the queue from taking jobs.
--
-- @key meta
-- @key marker
-- @key events
-- @ret 1, or 0 when it was paused already
-- @use lib/event

if call('HGET', meta, 'paused') then
  return 0
end
call('HSET', meta, 'paused', '1')
call('DEL', marker)
emit(events, 'paused')
trim_events(events, meta)
return 1
