-- Puts the id of a job where its options say. `q` has the keys of the queue by name.
--
-- A job of a group goes to its group: `q.grouped` is false where the caller knows that the queue has none, which saves
-- looking.
--
-- @use lib/event, lib/groups

-- Order among jobs of one priority is the order of adding; the counter is the lower half of the score.
local function priority_score(pc, priority)
  return priority * 4294967296 + call('INCR', pc) % 4294967296
end

-- Jobs due in the same millisecond keep their order: 4096 places, the last one shared.
local function delayed_score(delayed, due)
  local first = due * 4096
  local last = call('ZREVRANGEBYSCORE', delayed, first + 4095, first, 'WITHSCORES', 'LIMIT', 0, 1)
  if last[2] then
    return math.min(tonumber(last[2]) + 1, first + 4095)
  end
  return first
end

local function group_of(q, id)
  return q.grouped ~= false and call('HGET', q.prefix .. id, 'gid')
end

local function place_delayed(q, id, due)
  if group_of(q, id) then
    local delayed = q.prefix .. 'groups:delayed'
    call('ZADD', delayed, delayed_score(delayed, due), id)
    call('ZADD', q.marker, 'LT', due, '1')
    emit(q.events, 'delayed', 'jobId', id, 'delay', due)
    return
  end
  call('ZADD', q.delayed, delayed_score(q.delayed, due), id)
  emit(q.events, 'delayed', 'jobId', id, 'delay', due)
end

-- `front`: before all others of its priority. `prev` is the state that it comes from, nil for a new job.
local function place_waiting(q, id, priority, front, prev)
  local group = group_of(q, id)
  if group then
    place_in_group(q, group, id, priority, front, prev)
    return
  end
  if priority > 0 then
    local score = front and priority * 4294967296 or priority_score(q.pc, priority)
    call('ZADD', q.prioritized, score, id)
  else
    call(front and 'RPUSH' or 'LPUSH', q.wait, id)
  end
  if prev then
    emit(q.events, 'waiting', 'jobId', id, 'prev', prev)
  else
    emit(q.events, 'waiting', 'jobId', id)
  end
end
