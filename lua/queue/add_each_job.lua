-- Adds jobs in order, one by one: those of groups, and those of a queue whose waiting jobs are bounded.
--
-- @key counter      numbers the jobs
-- @key active
-- @key meta
-- @key marker
-- @key events
-- @key prefix       of every key of the queue
-- @key <id>         hash of each job
-- @key groups:*      see lib/groups
-- @key de:<id>      id of the job that owns a deduplication id
-- @arg now
-- @arg max_waiting  largest number of waiting jobs, or ''
-- @arg policy       what becomes of a job beyond it: drop the oldest one for it ('dropOldest'), or refuse it
-- @arg ...jobs      13 each: own id or '', name, data, opts as JSON, timestamp, delay, priority in its group, 1 for
--                   last-in-first-out, deduplication id or '', its time in milliseconds or 0, its rules, group or
--                   '', largest number of waiting jobs in the group or ''
-- @ret ids in order, or an error for a job that was refused; a job whose own id exists already, or which another one
--      stands for, is not added again
-- @err INCOMPATIBLEDATA GROUPFULL OVERLOADED
-- @use lib/deduplication, lib/event, lib/groups, lib/marker, lib/old_pause, lib/overload
-- @use lib/place

local refusal = paused_by_old_version(meta, prefix .. 'paused')
if refusal then
  return refusal
end
local q = {
  prefix = prefix, wait = prefix .. 'wait', prioritized = prefix .. 'prioritized', pc = prefix .. 'pc',
  delayed = prefix .. 'delayed', events = events, active = active, marker = marker, meta = meta,
}
-- Deduplication replaces and reschedules among the delayed jobs of groups there.
local of_groups = {}
for name, key in pairs(q) do
  of_groups[name] = key
end
of_groups.delayed = prefix .. 'groups:delayed'
now = tonumber(now)
local most = tonumber(max_waiting)
local waiting = most and count_waiting(q)
local ids = {}
local has_work, knows_groups = false, false

local function add(at)
  local id, name, timestamp, delay = jobs[at + 1], jobs[at + 2], jobs[at + 5], jobs[at + 6]
  local group, dedup_id = jobs[at + 12], jobs[at + 9]
  local number = call('INCR', counter)
  if id == '' then
    id = string.format('%.0f', number)
  elseif call('EXISTS', prefix .. id) == 1 then
    emit(events, 'duplicated', 'jobId', id)
    return id
  end
  local own = group == '' and q or of_groups
  if jobs[at + 13] ~= '' and call('ZCARD', group_jobs(prefix, group)) >= tonumber(jobs[at + 13]) then
    return redis.error_reply('GROUPFULL group ' .. group .. ' has its most waiting jobs, ' .. jobs[at + 13])
  end
  if waiting and delay == '0' and waiting >= most then
    if policy ~= 'dropOldest' or not drop_oldest(q, now) then
      return redis.error_reply('OVERLOADED the queue has its most waiting jobs, ' .. max_waiting)
    end
    waiting = waiting - 1
  end
  if dedup_id ~= '' then
    local job = { id = id, name = name, data = jobs[at + 3], opts = jobs[at + 4], delay = tonumber(delay) }
    local owner = deduplicate(own, dedup_id, tonumber(jobs[at + 10]), jobs[at + 11], job, now)
    if owner then
      return owner
    end
  end
  if group ~= '' and not knows_groups then
    knows_groups = true
    call('HSET', meta, 'groups', '1')
  end
  call('HSET', prefix .. id, 'name', name, 'data', jobs[at + 3], 'opts', jobs[at + 4], 'timestamp', timestamp,
    'delay', delay, 'priority', jobs[at + 7])
  if group ~= '' then
    call('HSET', prefix .. id, 'gid', group)
  end
  if dedup_id ~= '' then
    call('HSET', prefix .. id, 'deid', dedup_id)
  end
  emit(events, 'added', 'jobId', id, 'name', name)
  if delay ~= '0' then
    place_delayed(q, id, tonumber(timestamp) + tonumber(delay))
    if group == '' then
      mark_delayed(marker, q.delayed)
    end
  else
    place_waiting(q, id, tonumber(jobs[at + 7]), jobs[at + 8] == '1', nil)
    has_work = true
    waiting = waiting and waiting + 1
  end
  return id
end

for at = jobs_offset, #jobs - 13, 13 do
  ids[#ids + 1] = add(at)
end
if has_work then
  mark_unless_held(marker, meta, active)
end
trim_events(events, meta)
return ids
