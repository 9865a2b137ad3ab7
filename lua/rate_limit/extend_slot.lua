-- Gives the holder of a slot more time.
--
-- @key slots        holders by when their time is over
-- @arg holder
-- @arg lease_ms
-- @ret 1 | 0 when the slot is not held any more
-- @use lib/server_time

local now = time_ms()
if tonumber(call('ZSCORE', slots, holder) or 0) <= now then
  return 0
end
call('ZADD', slots, digits(now + lease_ms), holder)
call('PEXPIREAT', slots, call('ZREVRANGE', slots, 0, 0, 'WITHSCORES')[2])
return 1
