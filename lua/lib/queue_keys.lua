-- Keys of a queue that is known only by the prefix of its keys: the queue of a job's parent.

local function queue_keys(prefix)
  return {
    prefix = prefix,
    wait = prefix .. 'wait',
    active = prefix .. 'active',
    prioritized = prefix .. 'prioritized',
    pc = prefix .. 'pc',
    delayed = prefix .. 'delayed',
    marker = prefix .. 'marker',
    meta = prefix .. 'meta',
    events = prefix .. 'events',
  }
end
