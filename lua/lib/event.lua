-- Entries of a queue's event stream. Trimming is left to the caller: once a call, not once an entry.

local function emit(events, name, ...)
  call('XADD', events, '*', 'event', name, ...)
end

-- How many entries the stream may keep, stored by the first script that needs it.
local function event_bound(meta)
  local bound = call('HGET', meta, 'opts.maxLenEvents')
  if not bound then
    bound = 10000
    call('HSET', meta, 'opts.maxLenEvents', bound)
  end
  return bound
end

-- `bound` where the caller has read it already.
local function trim_events(events, meta, bound)
  call('XTRIM', events, 'MAXLEN', '~', bound or event_bound(meta))
end
