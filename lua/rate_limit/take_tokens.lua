-- Takes tokens out of a bucket that fills evenly.
--
-- @key bucket       tokens, and the time in milliseconds when there were so many; without it the bucket is full
-- @arg limit        tokens that come in a window
-- @arg window_ms
-- @arg burst        tokens that the bucket holds
-- @arg cost         0 only looks
-- @ret { 1 or 0 when there are not enough, tokens left, the time in ms, ms until the bucket is full, ms until there are enough }
-- @use lib/server_time

burst, cost = tonumber(burst), tonumber(cost)
local now = time_ms()
local ms_each = window_ms / limit
local tokens, at = string.match(call('GET', bucket) or '', '^(%S+) (%d+)$')
tokens, at = tonumber(tokens) or burst, tonumber(at) or now
tokens = math.min(burst, tokens + math.max(now - at, 0) / ms_each)
-- What divisions lost must not cost a whole token.
local allowed = tokens + 1e-6 >= cost
if allowed and cost > 0 then
  tokens = math.max(tokens - cost, 0)
  local full_ms = math.ceil((burst - tokens) * ms_each)
  -- Where the clock went back, time counts from where it was.
  call('SET', bucket, string.format('%.17g', tokens) .. ' ' .. digits(math.max(now, at)), 'PX', digits(full_ms + 1))
end
local lacking = allowed and 0 or math.max(cost - tokens, 0)
return {
  allowed and 1 or 0, math.floor(tokens + 1e-6), now,
  math.ceil((burst - tokens) * ms_each - 1e-6),
  math.ceil(lacking * ms_each - 1e-6),
}
