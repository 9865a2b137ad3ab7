-- Counts against a limit in windows that begin with their first call.
--
-- @key counter      what was counted in the present window, and expires with it
-- @arg limit
-- @arg window_ms
-- @arg cost         0 only looks
-- @ret { 1 or 0 when it is not allowed, what remains, the time in ms, ms until all is forgotten, ms until it would be allowed }
-- @use lib/server_time

local now = time_ms()
local left = call('PTTL', counter)
-- A counter without an expiry would never end.
local used = left > 0 and tonumber(call('GET', counter)) or 0
left = math.max(left, 0)
local allowed = used + cost <= tonumber(limit)
if allowed and cost ~= '0' then
  if left > 0 then
    call('INCRBY', counter, cost)
  else
    call('SET', counter, cost, 'PX', window_ms)
    left = tonumber(window_ms)
  end
  used = used + cost
end
return { allowed and 1 or 0, math.max(limit - used, 0), now, left, allowed and 0 or left }
