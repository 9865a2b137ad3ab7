-- Claims work that is due, for one who does it. Claims that are over are taken back first: who had them is gone.
--
-- @key  items       hash: id -> version:attempts:payload
-- @key  due         sorted set: ids that nobody has claimed, by when they are due
-- @key  claimed     sorted set: ids that are being done, by when their claim is over
-- @arg  now_ms
-- @arg  until_ms    what is due up to then is taken; later than now to take what is not due yet
-- @arg  claim_ms    when the claims will be over
-- @arg  count       at most
-- @ret  when to look again, or false when the agenda is empty; then id and item of each

for _, id in ipairs(call('ZRANGEBYSCORE', claimed, '-inf', now_ms, 'LIMIT', 0, 1000)) do
  call('ZREM', claimed, id)
  call('ZADD', due, now_ms, id)
end
local answer = { false }
if tonumber(count) > 0 then
  for _, id in ipairs(call('ZRANGEBYSCORE', due, '-inf', until_ms, 'LIMIT', 0, count)) do
    call('ZREM', due, id)
    local item = call('HGET', items, id)
    if item then
      call('ZADD', claimed, claim_ms, id)
      answer[#answer + 1] = id
      answer[#answer + 1] = item
    end
  end
end
local next_due = call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
local next_over = call('ZRANGE', claimed, 0, 0, 'WITHSCORES')[2]
if next_due and (not next_over or tonumber(next_due) < tonumber(next_over)) then
  answer[1] = next_due
elseif next_over then
  answer[1] = next_over
end
return answer
