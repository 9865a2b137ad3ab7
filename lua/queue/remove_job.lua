-- Removes a job, wherever it is.
--
-- @key wait
-- @key active
-- @key prioritized
-- @key delayed
-- @key waiting_children
-- @key completed
-- @key failed
-- @key paused
-- @key repeat_set     schedulers by their next run
-- @key meta
-- @key events
-- @key prefix
-- @key <id>           hash of the job, with its further keys
-- @arg id
-- @arg now
-- @ret 1, or 0 when a worker holds the job or it does not exist
-- @err BELONGSTOSCHEDULER
-- @use lib/event, lib/remove, lib/scheduled

local key = prefix .. id
if is_pending_of_scheduler(repeat_set, id) and call('EXISTS', key) == 1 then
  return redis.error_reply('BELONGSTOSCHEDULER job ' .. id .. ' is the next one of a job scheduler')
end
if call('EXISTS', key) == 0 or call('EXISTS', key .. ':lock') == 1 then
  return 0
end
local prev = 'unknown'
local sets = {
  { completed, 'completed' }, { failed, 'failed' }, { delayed, 'delayed' }, { prioritized, 'prioritized' },
  { waiting_children, 'waiting-children' },
}
for _, set in ipairs(sets) do
  if prev == 'unknown' and call('ZREM', set[1], id) == 1 then
    prev = set[2]
  end
end
local lists = { { wait, 'waiting' }, { active, 'active' }, { paused, 'paused' } }
for _, list in ipairs(lists) do
  if prev == 'unknown' and call('LREM', list[1], 0, id) > 0 then
    prev = list[2]
  end
end
forget_job(prefix, id, tonumber(now))
emit(events, 'removed', 'jobId', id, 'prev', prev)
trim_events(events, meta)
return 1
