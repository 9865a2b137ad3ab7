-- Gives a holder more time.
--
-- @key  lock        token of the holder
-- @arg  token       must equal the lock's value
-- @arg  ttl_ms      from now
-- @ret  1 | 0 when the lock is not held with this token any more

if call('GET', lock) ~= token then
  return 0
end
return call('PEXPIRE', lock, ttl_ms)
