-- Gives back a lease under which nothing was stored, and the lock if it is held.
--
-- @key  lease
-- @key  lock
-- @arg  token       of the lease
-- @arg  lock_token  or empty
-- @ret  1 when the lease was still valid, 0

if lock_token ~= '' and call('GET', lock) == lock_token then
  call('DEL', lock)
end
if call('GET', lease) ~= token then
  return 0
end
return call('DEL', lease)
