-- Removes jobs with the children that they have in any queue.
--
-- @use lib/event, lib/groups, lib/job_address, lib/remove

-- Whether a worker holds a child or one of its children. Only a child that its parent waits for can be held. `seen` ends
-- a circle.
local function has_locked_child(key, seen)
  seen[key] = true
  for _, child in ipairs(call('SMEMBERS', key .. ':dependencies')) do
    if not seen[child] and (call('EXISTS', child .. ':lock') == 1 or has_locked_child(child, seen)) then
      return true
    end
  end
  return false
end

-- One job without its children; its parent may run when it waited for nothing else.
local function remove_one(prefix, id, now)
  local prev = 'unknown'
  for _, state in ipairs({ 'completed', 'failed', 'delayed', 'prioritized', 'waiting-children' }) do
    if prev == 'unknown' and call('ZREM', prefix .. state, id) == 1 then
      prev = state
    end
  end
  for _, list in ipairs({ { 'wait', 'waiting' }, { 'active', 'active' }, { 'paused', 'paused' } }) do
    if prev == 'unknown' and call('LREM', prefix .. list[1], 0, id) > 0 then
      prev = list[2]
    end
  end
  if prev == 'unknown' then
    prev = state_in_group(prefix, id) or prev
  end
  forget_job(prefix, id, now, false)
  emit(prefix .. 'events', 'removed', 'jobId', id, 'prev', prev)
end

-- What names the children of one kind: how it is scanned, items a child, how one is taken out.
local CHILDREN = {
  { ':dependencies', 'SSCAN', 1, 'SREM' }, { ':processed', 'HSCAN', 2, 'HDEL' }, { ':failed', 'HSCAN', 2, 'HDEL' },
  { ':unsuccessful', 'ZSCAN', 2, 'ZREM' },
}

-- Some of these children, or nil when there are none. Sorted: what a set gives first is the server's affair, what
-- happens first should not be.
local function some_children(command, step, key)
  local cursor = '0'
  repeat
    local page = call(command, key, cursor, 'COUNT', 500)
    if #page[2] > 0 then
      local children = {}
      for at = 1, #page[2], step do
        children[#children + 1] = page[2][at]
      end
      table.sort(children)
      return children
    end
    cursor = page[1]
  until cursor == '0'
  return nil
end

-- The children of a job and theirs, the deepest first. False when `budget.left` was used up before all were gone.
local function remove_children(key, budget, now, seen)
  seen[key] = true
  for _, kind in ipairs(CHILDREN) do
    local names = key .. kind[1]
    local children = some_children(kind[2], kind[3], names)
    while children do
      for _, child in ipairs(children) do
        local is_there = not seen[child] and call('EXISTS', child) == 1
        if budget.left <= 0 or (is_there and not remove_children(child, budget, now, seen)) then
          return false
        end
        budget.left = budget.left - 1
        -- First, so that its parent, which goes too, is not let run.
        call(kind[4], names, child)
        if is_there then
          local prefix, id = split_job_key(child)
          remove_one(prefix, id, now)
        end
      end
      children = some_children(kind[2], kind[3], names)
    end
  end
  return true
end

-- A child that has not begun, with its own that have not.
local function remove_unprocessed(key, now, seen)
  local prefix, id = split_job_key(key)
  if seen[key] or not prefix or call('EXISTS', key) == 0 or call('EXISTS', key .. ':lock') == 1
    or call('ZSCORE', prefix .. 'failed', id) or call('ZSCORE', prefix .. 'completed', id) then
    return
  end
  seen[key] = true
  local children = call('SMEMBERS', key .. ':dependencies')
  table.sort(children)
  call('DEL', key .. ':dependencies')
  for _, child in ipairs(children) do
    remove_unprocessed(child, now, seen)
  end
  remove_one(prefix, id, now)
end
