-- Entries of a queue's event stream. Trimming is left to the caller: once a call, not once an entry.

local function emit(events, name, ...)
  call('XADD', events, '*', 'event', name, ...)
end

-- What a queue may keep of its events, stored by the first script that needs it.
local function event_bound(meta_bound, meta)
  if meta_bound then
    return meta_bound
  end
  call('HSET', meta, 'opts.maxLenEvents', 10000)
  return 10000
end
