-- Takes a lock that nobody holds, and numbers the holder.
-- The time is the server's and no argument, because numbers must grow whichever process asks.
--
-- @key  lock        token of the holder, for as long as it holds the lock
-- @key  fence       number of the last holder
-- @arg  token
-- @arg  ttl_ms
-- @arg  keep_ms     how long the number is kept at least
-- @ret  number of this holder, digits | milliseconds until the present holder's time is over, an integer
-- @use  lib/server_version

if not call('SET', lock, token, 'NX', 'PX', ttl_ms) then
  return call('PTTL', lock)
end
local number = digits(new_version(tonumber(call('GET', fence) or '')))
call('SET', fence, number, 'PX', keep_ms)
return number
