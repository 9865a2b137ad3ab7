-- Lets the series of a scheduler go on whose next job is lost.
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
-- @key repeat:<id>:<ms>  hash of the lost job, and of the next one
-- @key <prefix>waiting-children
-- @arg id
-- @arg lost           run whose job may be lost
-- @arg next_run       the one that follows, '' when none does; `lost` itself while its time has not come
-- @arg now
-- @arg name
-- @arg data
-- @arg opts
-- @arg priority
-- @arg front          1 for last-in-first-out
-- @arg due            when the job comes: next_run, or later
-- @arg group          of the job, or ''
-- @ret 1 when the series goes on again; 0 when there is nothing to do; -1 when the job of next_run has finished already
-- @use lib/event, lib/groups, lib/iteration, lib/place

local q = {
  prefix = prefix, counter = counter, wait = wait, prioritized = prioritized, pc = pc, delayed = delayed,
  active = active, meta = meta, marker = marker, events = events,
}
local current = call('ZSCORE', repeat_set, id)
if not current or tonumber(current) ~= tonumber(lost) then
  return 0
end

-- Whether a list has the id near one of its ends. Beyond, looking would hold up everybody: it counts as there.
local function has(list, job_id)
  local reach = 10000
  return call('LPOS', list, job_id, 'RANK', -1, 'MAXLEN', reach) or call('LPOS', list, job_id, 'MAXLEN', reach)
    or call('LLEN', list) > 2 * reach
end

local lost_id = 'repeat:' .. id .. ':' .. current
local job = call('HMGET', prefix .. lost_id, 'timestamp', 'finishedOn', 'priority')
if job[1] and not job[2] then
  if call('EXISTS', prefix .. lost_id .. ':lock') == 1 or call('ZSCORE', delayed, lost_id)
    or call('ZSCORE', prioritized, lost_id) or call('ZSCORE', prefix .. 'waiting-children', lost_id) or state_in_group(prefix, lost_id)
    or has(active, lost_id) or has(wait, lost_id) then
    return 0
  end
  -- It is in no list.
  place_waiting(q, lost_id, tonumber(job[3]) or 0, false, nil)
  mark_unless_held(marker, meta, active)
  trim_events(events, meta)
  return 1
end
if next_run == '' then
  return 0
end
local job_id = 'repeat:' .. id .. ':' .. next_run
if call('HEXISTS', prefix .. job_id, 'finishedOn') == 1 then
  return -1
end
call('ZADD', repeat_set, next_run, id)
if next_run ~= current then
  call('HINCRBY', scheduler, 'ic', 1)
end
if call('EXISTS', prefix .. job_id) == 0 then
  add_iteration(q, job_id, id, name, data, opts, tonumber(now), tonumber(due), tonumber(priority), front == '1', group)
end
trim_events(events, meta)
return 1
