-- What the end of a child means for its parent. The parent may live in another queue of the same hash slot.
--
-- @use lib/event, lib/marker, lib/place, lib/queue_keys

-- Lets a parent run: `at_once` also before its own delay is over.
local function release_parent(parent_prefix, parent_id, now, at_once)
  local q = queue_keys(parent_prefix)
  local waits = call('ZREM', parent_prefix .. 'waiting-children', parent_id) == 1
  local prev = 'waiting-children'
  if not waits and at_once and call('ZREM', q.delayed, parent_id) == 1 then
    waits, prev = true, 'delayed'
  end
  if not waits then
    return
  end
  local key = parent_prefix .. parent_id
  local job = call('HMGET', key, 'timestamp', 'priority', 'delay')
  if not job[1] then
    return
  end
  local delay = tonumber(job[3]) or 0
  if delay > 0 and not at_once then
    call('ZADD', q.delayed, (now + delay) * 4096, parent_id)
    emit(q.events, 'delayed', 'jobId', parent_id, 'delay', now + delay)
    mark_delayed(q.marker, q.delayed)
  else
    if prev == 'delayed' then
      call('HSET', key, 'delay', 0)
    end
    place_waiting(q, parent_id, tonumber(job[2]) or 0, true, prev)
    mark_unless_held(q.marker, q.meta, q.active)
  end
end

local function release_parent_if_alone(parent_prefix, parent_id, now)
  if call('SCARD', parent_prefix .. parent_id .. ':dependencies') == 0 then
    release_parent(parent_prefix, parent_id, now, false)
  end
end

local function child_completed(parent_prefix, parent_id, child_key, value, now)
  local parent = parent_prefix .. parent_id
  if call('SREM', parent .. ':dependencies', child_key) == 1 then
    call('HSET', parent .. ':processed', child_key, value)
    release_parent_if_alone(parent_prefix, parent_id, now)
  end
end

-- `policy`: fail, continue, ignore or remove, as the child was added; anything else leaves the parent waiting.
local function child_failed(parent_prefix, parent_id, child_key, policy, reason, now)
  local parent = parent_prefix .. parent_id
  if policy == '' or call('SREM', parent .. ':dependencies', child_key) == 0 then
    return
  end
  if policy == 'fail' then
    call('ZADD', parent .. ':unsuccessful', now, child_key)
    if call('EXISTS', parent) == 1 then
      call('HSET', parent, 'defa', 'child ' .. child_key .. ' failed')
    end
    release_parent(parent_prefix, parent_id, now, true)
  elseif policy == 'continue' then
    call('HSET', parent .. ':failed', child_key, reason)
    release_parent(parent_prefix, parent_id, now, true)
  else
    if policy == 'ignore' then
      call('HSET', parent .. ':failed', child_key, reason)
    end
    release_parent_if_alone(parent_prefix, parent_id, now)
  end
end
