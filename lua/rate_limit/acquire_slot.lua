-- Takes one of a limited number of slots, for a time.
--
-- @key slots        holders by when their time is over
-- @arg limit
-- @arg holder       '' only looks
-- @arg lease_ms
-- @ret { 1 or 0 when all are taken, slots left, the time in ms, ms until all are free again, ms until the next one is free at the latest }
-- @use lib/server_time

limit = tonumber(limit)
local now = time_ms()
call('ZREMRANGEBYSCORE', slots, '-inf', now)
local taken = call('ZCARD', slots)
local allowed = taken < limit
if allowed and holder ~= '' then
  call('ZADD', slots, digits(now + lease_ms), holder)
  taken = taken + 1
end
local last = call('ZREVRANGE', slots, 0, 0, 'WITHSCORES')[2]
if allowed and holder ~= '' then
  call('PEXPIREAT', slots, last)
end
local wait = 0
if not allowed then
  -- Of more holders than a lowered limit allows, several must leave first.
  wait = call('ZRANGE', slots, taken - limit, taken - limit, 'WITHSCORES')[2] - now
end
return { allowed and 1 or 0, math.max(limit - taken, 0), now, last and last - now or 0, wait }
