-- Numbers that only grow: the server's clock in microseconds, or the last number plus one where the clock stands still or
-- went back. Whoever asks, and though a number was lost meanwhile, the next one is larger.
--
-- @use lib/server_time

local function new_version(last)
  local now = time_us()
  if last and last >= now then
    return last + 1
  end
  return now
end
