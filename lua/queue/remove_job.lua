-- Removes a job, wherever it is, and with it the tree of its children, a slice a call. The deepest go first, so that what
-- is left after a slice is a tree as before.
--
-- @key repeat_set     schedulers by their next run
-- @key prefix
-- @key <id>           hash of the job, with its further keys
-- @key <child>        hashes and further keys of its children, in any queue of the slot
-- @arg id
-- @arg now
-- @arg with_children  1 removes them too, finished ones among them
-- @arg slice          jobs a call
-- @ret 1; 0 when a worker holds the job or one of its children, or it does not exist; 2 when more is left: call again
-- @err BELONGSTOSCHEDULER
-- @use lib/children, lib/event, lib/remove, lib/scheduled

local key = prefix .. id
if call('EXISTS', key) == 0 then
  return 0
end
if is_pending_of_scheduler(repeat_set, id) then
  return redis.error_reply('BELONGSTOSCHEDULER job ' .. id .. ' is the next one of a job scheduler')
end
if call('EXISTS', key .. ':lock') == 1 or (with_children == '1' and has_locked_child(key, {})) then
  return 0
end
now = tonumber(now)
if with_children == '1' and not remove_children(key, { left = tonumber(slice) }, now, {}) then
  return 2
end
remove_one(prefix, id, now)
trim_events(prefix .. 'events', prefix .. 'meta')
return 1
