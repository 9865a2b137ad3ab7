-- Puts work on an agenda, in place of the work of the same id that is there. Work that is being done keeps its claim: what
-- replaces it is due when that ends.
--
-- @key  items       hash: id -> version:attempts:payload
-- @key  due         sorted set: ids that nobody has claimed, by when they are due
-- @key  claimed     sorted set: ids that are being done, by when their claim is over
-- @key  versions    counter
-- @arg  id
-- @arg  payload
-- @arg  due_ms
-- @arg  keep_due    1 leaves work that is there its time
-- @arg  max_items   0: any number
-- @ret  version of the work | 0 when there are as many items as there may be

if tonumber(max_items) > 0 and call('HEXISTS', items, id) == 0 and call('HLEN', items) >= tonumber(max_items) then
  return 0
end
local version = call('INCR', versions)
call('HSET', items, id, version .. ':0:' .. payload)
if not call('ZSCORE', claimed, id) then
  if keep_due == '1' then
    call('ZADD', due, 'NX', due_ms, id)
  else
    call('ZADD', due, due_ms, id)
  end
end
return version
