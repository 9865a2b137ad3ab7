-- Takes jobs out of the queue with all that belongs to them.
--
-- @use lib/event, lib/groups, lib/job_address, lib/job_keys, lib/marker, lib/parent

-- Parts a job from its parent, of which `ties` tells what the job stores: `parent` and `parentKey`. With `with_parents`, a
-- parent of the same queue that then waits for nothing goes too, as do its own, and their keys are added to `doomed`; any
-- other one is let go.
local function leave_parent(prefix, id, ties, now, with_parents, doomed)
  while id and (ties[1] or ties[2]) do
    local key = prefix .. id
    local parent_prefix, parent_id = parent_of(ties[1], ties[2])
    id = nil
    if parent_prefix then
      local parent = parent_prefix .. parent_id
      call('ZREM', parent .. ':unsuccessful', key)
      if not with_parents or parent_prefix ~= prefix then
        release_from(parent_prefix, parent_id, key, now)
      elseif call('SREM', parent .. ':dependencies', key) == 1 and call('SCARD', parent .. ':dependencies') == 0
        and call('ZREM', parent_prefix .. 'waiting-children', parent_id) == 1 then
        id, ties = parent_id, call('HMGET', parent, 'parent', 'parentKey')
        doomed[#doomed + 1] = parent
      end
    end
  end
end

-- The hashes must still be there: what a job is tied to stands in it. Their deduplication windows end with them.
local function forget_jobs(prefix, ids, now, with_parents)
  local doomed = {}
  for _, id in ipairs(ids) do
    local key = prefix .. id
    local ties = call('HMGET', key, 'parent', 'parentKey', 'deid', 'gid')
    if ties[3] and call('GET', prefix .. 'de:' .. ties[3]) == id then
      call('DEL', prefix .. 'de:' .. ties[3])
    end
    if ties[4] then
      leave_group(prefix, ties[4], id)
    end
    doomed[#doomed + 1] = key
    leave_parent(prefix, id, ties, now, with_parents, doomed)
  end
  delete_jobs(doomed)
end

local function forget_job(prefix, id, now, with_parents)
  forget_jobs(prefix, { id }, now, with_parents)
end
