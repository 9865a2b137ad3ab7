-- Numbers that only grow: the server's clock in microseconds, or the last number plus one where the clock stands still or
-- went back. Whoever asks, and though a number was lost meanwhile, the next one is larger.

-- A number in full, which Lua's own conversion would round to 14 digits.
local function digits(number)
  return string.format('%.0f', number)
end

local function new_version(last)
  local time = call('TIME')
  local now = time[1] * 1000000 + time[2]
  if last and last >= now then
    return last + 1
  end
  return now
end
