-- Counts against a limit in a window that ends now. Kept are two numbers: what was counted in the present slot of the
-- length of the window, and in the one before, of which only the part that is still in the window weighs, as if its
-- calls had come evenly.
--
-- @key counter      slot, count, count of the slot before
-- @arg limit
-- @arg window_ms
-- @arg cost         0 only looks
-- @ret { 1 or 0 when it is not allowed, what remains, the time in ms, ms until all is forgotten, ms until it would be allowed }
-- @use lib/server_time

limit, window_ms, cost = tonumber(limit), tonumber(window_ms), tonumber(cost)
local now = time_ms()
local slot = math.floor(now / window_ms)
local gone = now - slot * window_ms
local count, before = 0, 0
local last, last_count, last_before = string.match(call('GET', counter) or '', '^(%d+) (%d+) (%d+)$')
last = tonumber(last)
if last and last >= slot then
  -- Later, when the server's clock went back: it stays at the beginning of that slot until it is there again.
  if last > slot then
    slot, gone = last, 0
  end
  count, before = tonumber(last_count), tonumber(last_before)
elseif last == slot - 1 then
  before = tonumber(last_count)
end

local used = count + before * (window_ms - gone) / window_ms
-- What a division lost must not decide.
local lost = 1e-6
local allowed = used + cost <= limit + lost
if allowed and cost > 0 then
  count, used = count + cost, used + cost
  call('SET', counter, digits(slot) .. ' ' .. digits(count) .. ' ' .. digits(before), 'PX', digits(2 * window_ms - gone))
end
local wait = 0
if not allowed then
  local room = limit - cost - count
  if room >= 0 then
    wait = window_ms * (1 - room / before) - gone
  else
    -- What is counted now is then what was counted before.
    wait = window_ms - gone + window_ms * (1 - (limit - cost) / count)
  end
end
local reset = count > 0 and 2 * window_ms - gone or before > 0 and window_ms - gone or 0
return { allowed and 1 or 0, math.max(math.floor(limit - used + lost), 0), now, reset, math.ceil(wait - lost) }
