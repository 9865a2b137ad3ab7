-- Gives a slot back.
--
-- @key slots        holders by when their time is over
-- @arg holder
-- @ret 1 | 0 when the slot was not held any more
-- @use lib/server_time

local until_ms = call('ZSCORE', slots, holder)
call('ZREM', slots, holder)
return until_ms and tonumber(until_ms) > time_ms() and 1 or 0
