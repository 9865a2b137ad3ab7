-- Lets workers take jobs again. Jobs that an older version set aside in the list `paused` come back, before those that
-- were added since; at most 7,000 a call.
--
-- @key meta
-- @key marker
-- @key events
-- @key wait
-- @key prioritized
-- @key delayed
-- @key paused
-- @key groups      those whose turn may come
-- @ret 1 while more is to be done: call again
-- @use lib/event, lib/marker

local older = call('LRANGE', paused, 0, 6999)
if #older > 0 then
  call('LTRIM', paused, #older, -1)
  call('RPUSH', wait, unpack(older))
end
if call('EXISTS', paused) == 1 then
  return 1
end
if call('HDEL', meta, 'paused') == 1 then
  emit(events, 'resumed')
  trim_events(events, meta)
end
if call('LLEN', wait) + call('ZCARD', prioritized) > 0 or call('EXISTS', groups) == 1 then
  mark_work(marker)
else
  mark_delayed(marker, delayed)
end
return 0
