-- Gives what a consumer did not acknowledge to whoever takes over next, at once, and forgets a consumer that has nothing.
--
-- @key stream
-- @arg group
-- @arg consumer
-- @arg rest_ms   how long a message must have rested to be taken over
-- @ret how many messages are given

local start, given = '-', 0
while true do
  local rows = call('XPENDING', stream, group, start, '+', 100, consumer)
  for _, row in ipairs(rows) do
    call('XCLAIM', stream, group, consumer, 0, row[1], 'IDLE', rest_ms, 'JUSTID')
    given = given + 1
  end
  if #rows < 100 then
    break
  end
  start = '(' .. rows[#rows][1]
end
if given == 0 then
  call('XGROUP', 'DELCONSUMER', stream, group, consumer)
end
return given
