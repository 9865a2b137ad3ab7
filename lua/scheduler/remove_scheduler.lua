-- Removes a job scheduler and its pending job.
--
-- @key repeat_set     schedulers by their next run
-- @key scheduler      hash of this one
-- @key wait
-- @key prioritized
-- @key delayed
-- @key meta
-- @key events
-- @key prefix
-- @key repeat:<id>:<ms>  hash of the pending job
-- @arg id
-- @ret 1, or 0 when there was none
-- @use lib/event, lib/iteration

local current = call('ZSCORE', repeat_set, id)
if not current then
  return 0
end
remove_pending({ prefix = prefix, wait = wait, prioritized = prioritized, delayed = delayed, events = events },
  'repeat:' .. id .. ':' .. current)
call('ZREM', repeat_set, id)
call('DEL', scheduler)
trim_events(events, meta)
return 1
