-- The bound on jobs that wait in a queue.
--
-- @use lib/event, lib/groups, lib/remove, lib/scheduled

-- Jobs that wait, with and without priority, in groups and in none.
local function count_waiting(q)
  local in_groups = call('HGET', q.prefix .. 'groups:state', 'waiting')
  return call('LLEN', q.wait) + call('ZCARD', q.prioritized) + (tonumber(in_groups or '') or 0)
end

local function drop(q, id, now)
  forget_job(q.prefix, id, now, false)
  emit(q.events, 'removed', 'jobId', id, 'prev', 'waiting')
  return true
end

-- Drops the oldest waiting job: one without priority, else the next one of the largest group, else that which would run
-- last. The next jobs of schedulers stay. False when there is none to drop.
local function drop_oldest(q, now)
  local stay, dropped = {}, nil
  while not dropped and #stay < 100 do
    local id = call('RPOP', q.wait)
    if not id then
      break
    end
    if is_pending_of_scheduler(q.prefix .. 'repeat', id) then
      table.insert(stay, 1, id)
    else
      dropped = id
    end
  end
  if #stay > 0 then
    call('RPUSH', q.wait, unpack(stay))
  end
  if dropped then
    return drop(q, dropped, now)
  end
  local group = call('ZRANGE', q.prefix .. 'groups:sizes', -1, -1)[1]
  local id = group and call('ZRANGE', group_jobs(q.prefix, group), 0, 0)[1]
  if id then
    return drop(q, id, now)
  end
  for _, last in ipairs(call('ZRANGE', q.prioritized, -100, -1, 'REV')) do
    if not is_pending_of_scheduler(q.prefix .. 'repeat', last) then
      call('ZREM', q.prioritized, last)
      return drop(q, last, now)
    end
  end
  return false
end
