-- Raises the number of a lock's last holder, for a lock on several servers: each must number the next holder higher than
-- any of them numbered this one.
--
-- @key  lock        token of the holder
-- @key  fence       number of the last holder
-- @arg  token       must equal the lock's value
-- @arg  number      of the holder; the fence is at least this afterwards
-- @arg  keep_ms     how long the number is kept at least
-- @ret  1 | 0 when the lock is not held with this token any more
-- @use  lib/server_version

if call('GET', lock) ~= token then
  return 0
end
local last = tonumber(call('GET', fence) or '')
if not last or last < tonumber(number) then
  call('SET', fence, number, 'PX', keep_ms)
end
return 1
