-- Ends a claim: the work is done, or is to be tried again. Work that replaced it meanwhile is due now, as if never tried.
--
-- @key  items       hash: id -> version:attempts:payload
-- @key  due         sorted set: ids that nobody has claimed, by when they are due
-- @key  claimed     sorted set: ids that are being done, by when their claim is over
-- @arg  now_ms
-- @arg  id
-- @arg  version     of the work that was claimed
-- @arg  claim_ms    the claim, as it was given
-- @arg  retry_ms    when it is due again; empty when it is done with
-- @ret  0 when the claim was over, 1 when the work is gone from the agenda, 2 when it will be done again or was replaced

if tonumber(call('ZSCORE', claimed, id) or '') ~= tonumber(claim_ms) then
  return 0
end
call('ZREM', claimed, id)
local current, attempts, payload = string.match(call('HGET', items, id) or '', '^(%d+):(%d+):(.*)$')
if not current then
  return 1
end
if current ~= version then
  call('ZADD', due, now_ms, id)
  return 2
end
if retry_ms == '' then
  call('HDEL', items, id)
  return 1
end
call('HSET', items, id, version .. ':' .. (tonumber(attempts) + 1) .. ':' .. payload)
call('ZADD', due, retry_ms, id)
return 2
