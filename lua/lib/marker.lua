-- The marker wakes idle workers: member 0 says that there is work, member 1 when the next delayed job is due.

local function mark_work(marker)
  call('ZADD', marker, 0, '0')
end

-- When the next delayed job is due in milliseconds, or 0.
local function next_due(delayed)
  local first = call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  return first[2] and math.floor(tonumber(first[2]) / 4096) or 0
end

local function mark_delayed(marker, delayed)
  local due = next_due(delayed)
  if due > 0 then
    call('ZADD', marker, due, '1')
  end
end

-- Whether a worker that wakes up now may take nothing.
local function is_held(meta, active)
  local held = call('HMGET', meta, 'paused', 'concurrency')
  return held[1] or (held[2] and call('LLEN', active) >= tonumber(held[2]))
end

local function mark_unless_held(marker, meta, active)
  if not is_held(meta, active) then
    mark_work(marker)
  end
end
