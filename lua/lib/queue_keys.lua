-- Keys of a queue that is known only by the prefix of its keys: the queue of a job's parent or child.

local function queue_keys(prefix)
  return {
    prefix = prefix,
    counter = prefix .. 'id',
    wait = prefix .. 'wait',
    active = prefix .. 'active',
    prioritized = prefix .. 'prioritized',
    pc = prefix .. 'pc',
    delayed = prefix .. 'delayed',
    waiting_children = prefix .. 'waiting-children',
    completed = prefix .. 'completed',
    failed = prefix .. 'failed',
    marker = prefix .. 'marker',
    meta = prefix .. 'meta',
    events = prefix .. 'events',
  }
end
