-- Where a job is.
--
-- @key completed
-- @key failed
-- @key delayed
-- @key prioritized
-- @key waiting_children
-- @key active
-- @key wait
-- @key paused
-- @key prefix
-- @key groups:*   see lib/groups
-- @arg id
-- @ret name of the state, or nil
-- @use lib/groups

local sets = {
  { completed, 'completed' }, { failed, 'failed' }, { delayed, 'delayed' }, { prioritized, 'prioritized' },
  { waiting_children, 'waiting-children' },
}
for _, set in ipairs(sets) do
  if call('ZSCORE', set[1], id) then
    return set[2]
  end
end
local lists = { { active, 'active' }, { wait, 'waiting' }, { paused, 'waiting' } }
for _, list in ipairs(lists) do
  if call('LPOS', list[1], id) then
    return list[2]
  end
end
return state_in_group(prefix, id)
