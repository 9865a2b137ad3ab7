-- Stops every worker of the queue from taking jobs.
--
-- @key meta
-- @key marker
-- @key events
-- @key paused
-- @ret 1, or 0 when it was paused already
-- @err INCOMPATIBLEDATA
-- @use lib/event, lib/old_pause

if call('HGET', meta, 'paused') then
  return paused_by_old_version(meta, paused) or 0
end
call('HSET', meta, 'paused', '1')
call('DEL', marker)
emit(events, 'paused')
trim_events(events, meta)
return 1
