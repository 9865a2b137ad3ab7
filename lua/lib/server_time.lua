-- The server's time, the same for whoever asks.

-- Microseconds since 1970.
local function time_us()
  local time = call('TIME')
  return time[1] * 1000000 + time[2]
end

-- Milliseconds since 1970.
local function time_ms()
  return math.floor(time_us() / 1000)
end

-- A number in full, which Lua's own conversion would round to 14 digits.
local function digits(number)
  return string.format('%.0f', number)
end
