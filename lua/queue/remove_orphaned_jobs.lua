-- Removes the keys of jobs that are in no state.
--
-- @key active
-- @key wait
-- @key paused
-- @key delayed
-- @key prioritized
-- @key waiting_children
-- @key completed
-- @key failed
-- @key prefix
-- @key <id>         hash of each job, with its further keys
-- @arg ...ids
-- @ret how many were in no state
-- @use lib/groups, lib/job_keys

local gone = {}
for at = ids_offset + 1, #ids do
  local id = ids[at]
  local key = prefix .. id
  local kind = call('TYPE', key)['ok']
  -- A hash of another kind has no such field: the queue's own keys have names like those of jobs.
  local is_job = kind == 'none' or (kind == 'hash' and call('HEXISTS', key, 'timestamp') == 1)
  local is_held = not is_job
  for _, set in ipairs({ delayed, prioritized, waiting_children, completed, failed }) do
    is_held = is_held or call('ZSCORE', set, id)
  end
  for _, list in ipairs({ active, wait, paused }) do
    is_held = is_held or call('LPOS', list, id)
  end
  if not is_held and not state_in_group(prefix, id) then
    gone[#gone + 1] = key
  end
end
delete_jobs(gone)
return #gone
