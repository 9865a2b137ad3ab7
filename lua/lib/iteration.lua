-- Jobs that a job scheduler makes. `q` has the keys of the queue by name.
--
-- @use lib/event, lib/groups, lib/job_keys, lib/marker, lib/place

-- Removes the pending job of a scheduler, unless a worker has taken it.
local function remove_pending(q, id)
  local prev
  local group = call('HGET', q.prefix .. id, 'gid')
  if group and state_in_group(q.prefix, id) then
    prev = leave_group(q.prefix, group, id)
  elseif call('ZREM', q.delayed, id) == 1 then
    prev = 'delayed'
  elseif call('ZREM', q.prioritized, id) == 1 then
    prev = 'prioritized'
  elseif call('LREM', q.wait, 0, id) > 0 then
    prev = 'waiting'
  end
  if prev then
    delete_job(q.prefix .. id)
    emit(q.events, 'removed', 'jobId', id, 'prev', prev)
  end
end

-- `group` is '' for a job of none.
local function add_iteration(q, id, scheduler_id, name, data, opts, now, due, priority, front, group)
  call('INCR', q.counter)
  local delay = math.max(due - now, 0)
  call('HSET', q.prefix .. id, 'name', name, 'data', data, 'opts', opts, 'timestamp', now, 'delay', delay,
    'priority', priority, 'rjk', scheduler_id)
  if group ~= '' then
    call('HSET', q.prefix .. id, 'gid', group)
    call('HSET', q.meta, 'groups', '1')
  end
  emit(q.events, 'added', 'jobId', id, 'name', name)
  if delay > 0 then
    place_delayed(q, id, due)
    mark_delayed(q.marker, q.delayed)
  else
    place_waiting(q, id, priority, front, nil)
    mark_unless_held(q.marker, q.meta, q.active)
  end
end
