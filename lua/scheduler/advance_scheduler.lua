-- Adds the next job of a scheduler whose current one a worker has taken or ended. Of several calls for one job, the first counts.
--
-- @key repeat_set     schedulers by their next run
-- @key scheduler      hash of this one
-- @key counter
-- @key wait
-- @key prioritized
-- @key pc
-- @key delayed
-- @key active
-- @key meta
-- @key marker
-- @key events
-- @key prefix
-- @key repeat:<id>:<ms>  hash of the next job
-- @arg id
-- @arg taken          id of the current job
-- @arg next_run
-- @arg now
-- @arg name
-- @arg data
-- @arg opts
-- @arg priority
-- @arg front          1 for last-in-first-out
-- @arg due            when the job comes: next_run, or later
-- @arg group          of the job, or ''
-- @ret 1 when the next job was added; -1 when the job of that run has finished already, which nobody will take again
-- @use lib/event, lib/iteration

local q = {
  prefix = prefix, counter = counter, wait = wait, prioritized = prioritized, pc = pc, delayed = delayed,
  active = active, meta = meta, marker = marker, events = events,
}
local current = call('ZSCORE', repeat_set, id)
if not current or taken ~= 'repeat:' .. id .. ':' .. current then
  return 0
end
local job_id = 'repeat:' .. id .. ':' .. next_run
if call('HEXISTS', prefix .. job_id, 'finishedOn') == 1 then
  return -1
end
call('ZADD', repeat_set, next_run, id)
call('HINCRBY', scheduler, 'ic', 1)
if call('EXISTS', prefix .. job_id) == 1 then
  emit(events, 'duplicated', 'jobId', job_id)
  return 0
end
add_iteration(q, job_id, id, name, data, opts, tonumber(now), tonumber(due), tonumber(priority), front == '1', group)
trim_events(events, meta)
return 1
