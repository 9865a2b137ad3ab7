-- Makes or changes a job scheduler and adds its next job.
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
-- @key repeat:<id>:<ms>  hash of the next job, and of the one that it replaces
-- @arg id
-- @arg expected       next run that the caller knows of, '' when there is no such scheduler
-- @arg next_run
-- @arg now
-- @arg name           of the job
-- @arg data
-- @arg opts
-- @arg priority
-- @arg front          1 for last-in-first-out
-- @arg due            when the job comes: next_run, or later
-- @arg group          of the job, or ''
-- @arg ...fields      of the scheduler's hash, names and values
-- @ret 1; 0 when the scheduler is no longer as expected
-- @err SLOTTAKEN INCOMPATIBLEDATA
-- @use lib/event, lib/iteration, lib/old_pause

local refusal = paused_by_old_version(meta, prefix .. 'paused')
if refusal then
  return refusal
end
local q = {
  prefix = prefix, counter = counter, wait = wait, prioritized = prioritized, pc = pc, delayed = delayed,
  active = active, meta = meta, marker = marker, events = events,
}
local current = call('ZSCORE', repeat_set, id) or ''
if current ~= expected then
  return 0
end
local job_id = 'repeat:' .. id .. ':' .. next_run
local pending = 'repeat:' .. id .. ':' .. current
if pending ~= job_id and call('EXISTS', prefix .. job_id) == 1 then
  return redis.error_reply('SLOTTAKEN a job ' .. job_id .. ' exists')
end
if current ~= '' then
  remove_pending(q, pending)
  if call('EXISTS', prefix .. job_id) == 1 then
    return redis.error_reply('SLOTTAKEN a job ' .. job_id .. ' is with a worker')
  end
end
-- What runs have left there outlives a change of the schedule.
local runs = call('HMGET', scheduler, 'lastRun', 'skippedRuns')
call('DEL', scheduler)
local row = { 'ic', 1 }
if runs[1] then
  row[#row + 1] = 'lastRun'
  row[#row + 1] = runs[1]
end
if runs[2] then
  row[#row + 1] = 'skippedRuns'
  row[#row + 1] = runs[2]
end
for at = fields_offset + 1, #fields do
  row[#row + 1] = fields[at]
end
call('HSET', scheduler, unpack(row))
call('ZADD', repeat_set, next_run, id)
add_iteration(q, job_id, id, name, data, opts, tonumber(now), tonumber(due), tonumber(priority), front == '1', group)
trim_events(events, meta)
return 1
