-- Stores what a source gave, if nothing was written or invalidated since the lease was taken.
--
-- @key  entry
-- @key  lease       token: made by the first who missed the entry, removed by every write and invalidation
-- @key  lock        token of the one process that asks the source
-- @key  sweep       version of the cache's last pattern delete or flush
-- @arg  token       of the lease
-- @arg  swept       version of the sweep when the lease was taken, or empty
-- @arg  lock_token  or empty
-- @arg  absent      1 when there was no entry when the lease was taken
-- @arg  value
-- @arg  ttl_ms
-- @ret  1 | 0 when the value may be an old one

if call('GET', lease) ~= token or (call('GET', sweep) or '') ~= swept then
  return 0
end
if absent == '1' and call('EXISTS', entry) == 1 then
  return 0
end
call('SET', entry, value, 'PX', ttl_ms)
call('DEL', lease)
if lock_token ~= '' and call('GET', lock) == lock_token then
  call('DEL', lock)
end
return 1
