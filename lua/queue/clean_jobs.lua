-- Removes old jobs of one state, a slice a call. Parents of this queue that waited only for them go too.
--
-- @key set            list or sorted set of the state
-- @key repeat_set
-- @key meta
-- @key events
-- @key prefix
-- @key <id>           hash of each job, with its further keys
-- @arg state          wait, active, delayed, prioritized, waiting-children, completed or failed;
--                     group for the waiting jobs of one, by their sorted set
-- @arg before         jobs of that time or later stay
-- @arg limit          how many to remove at most
-- @arg skip           where the slice starts: jobs before it are known to stay
-- @arg slice
-- @arg now
-- @arg earlier        how many the calls before removed: the last one tells of all
-- @ret { where the next slice starts, or -1 when there is none, ids removed }
-- @use lib/event, lib/remove, lib/scheduled

before, limit, skip, slice = tonumber(before), tonumber(limit), tonumber(skip), tonumber(slice)
now, earlier = tonumber(now), tonumber(earlier)
local is_list = state == 'wait' or state == 'active'
local is_finished = state == 'completed' or state == 'failed'
local ids
if is_list then
  ids = call('LRANGE', set, -skip - slice, -skip - 1)
elseif is_finished then
  ids = call('ZRANGEBYSCORE', set, '-inf', before, 'LIMIT', skip, slice)
else
  ids = call('ZRANGE', set, skip, skip + slice - 1)
end

local removed, stay = {}, 0
local length = is_list and call('LLEN', set)
for at = is_list and #ids or 1, is_list and 1 or #ids, is_list and -1 or 1 do
  local id = ids[at]
  local job = not is_finished and call('HMGET', prefix .. id, 'timestamp', 'processedOn') or {}
  local time = tonumber(state == 'active' and job[2] or job[1])
  local is_old = is_finished or not time or time <= before
  if #removed < limit and is_old and call('EXISTS', prefix .. id .. ':lock') == 0
    and not is_pending_of_scheduler(repeat_set, id) then
    if is_list then
      -- Marked now and taken out together: one pass over the slice.
      call('LSET', set, length - skip - #ids + at - 1, '')
    end
    removed[#removed + 1] = id
  else
    stay = stay + 1
  end
end
if #removed > 0 then
  if is_list then
    -- From the tail, where they are; the rest of the list is not looked at.
    call('LREM', set, -#removed, '')
  elseif state ~= 'group' then
    -- A group counts its jobs as they leave.
    call('ZREM', set, unpack(removed))
  end
  forget_jobs(prefix, removed, now, true)
end
local next_skip = (#ids < slice or #removed >= limit) and -1 or skip + stay
local total = earlier + #removed
if next_skip == -1 and total > 0 then
  emit(events, 'cleaned', 'count', total)
  trim_events(events, meta)
end
return { next_skip, removed }
