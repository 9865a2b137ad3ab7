-- What the end of a child means for its parent. The parent may live in another queue of the same hash slot.
--
-- @use lib/event, lib/job_address, lib/marker, lib/place, lib/queue_keys

-- Lets a parent that waits for its children run. One that `must_fail` needs no delay, nor its own time.
local function release_parent(parent_prefix, parent_id, now, must_fail)
  local q = queue_keys(parent_prefix)
  local waits = call('ZREM', q.waiting_children, parent_id) == 1
  local prev = 'waiting-children'
  if not waits and must_fail
    and (call('ZREM', q.delayed, parent_id) == 1 or call('ZREM', parent_prefix .. 'groups:delayed', parent_id) == 1) then
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
  local delay, priority = tonumber(job[3]) or 0, tonumber(job[2]) or 0
  if delay > 0 and not must_fail then
    place_delayed(q, parent_id, now + delay)
    mark_delayed(q.marker, q.delayed)
  else
    if delay > 0 then
      call('HSET', key, 'delay', 0)
    end
    -- A parent was added before most of what waits there.
    place_waiting(q, parent_id, priority, priority == 0, prev)
    mark_unless_held(q.marker, q.meta, q.active)
  end
end

local function release_parent_if_alone(parent_prefix, parent_id, now)
  if call('SCARD', parent_prefix .. parent_id .. ':dependencies') == 0 then
    release_parent(parent_prefix, parent_id, now, false)
  end
end

-- Takes a child out of what its parent waits for; true when it was there.
local function release_from(parent_prefix, parent_id, child_key, now)
  if call('SREM', parent_prefix .. parent_id .. ':dependencies', child_key) == 1 then
    release_parent_if_alone(parent_prefix, parent_id, now)
    return true
  end
  return false
end

local function child_completed(parent_prefix, parent_id, child_key, value, now)
  local parent = parent_prefix .. parent_id
  if call('SREM', parent .. ':dependencies', child_key) == 1 then
    call('HSET', parent .. ':processed', child_key, value)
    release_parent_if_alone(parent_prefix, parent_id, now)
  end
end

-- `flags` are what the child was added with: fpof fails the parent, cpof lets it run at once, idof and rdof count the
-- child as done, with and without its reason. Without any of them the parent waits until the child is retried or gone;
-- `is_gone` says that the child does not stay.
local function child_failed(parent_prefix, parent_id, child_key, flags, reason, now, is_gone)
  local parent = parent_prefix .. parent_id
  local counts = flags.fpof or flags.cpof or flags.idof or flags.rdof or is_gone
  if not counts or call('SREM', parent .. ':dependencies', child_key) == 0 then
    return
  end
  if flags.fpof then
    call('ZADD', parent .. ':unsuccessful', now, child_key)
    local is_finished = call('ZSCORE', parent_prefix .. 'failed', parent_id)
      or call('ZSCORE', parent_prefix .. 'completed', parent_id)
    if not is_finished and call('EXISTS', parent) == 1 then
      call('HSET', parent, 'defa', 'child ' .. child_key .. ' failed')
    end
    release_parent(parent_prefix, parent_id, now, true)
    return
  end
  if flags.cpof or flags.idof then
    call('HSET', parent .. ':failed', child_key, reason)
  end
  if flags.cpof then
    release_parent(parent_prefix, parent_id, now, false)
  else
    release_parent_if_alone(parent_prefix, parent_id, now)
  end
end
