-- Removes jobs that wait, a slice of each kind a call. The pending jobs of job schedulers stay, in their order;
-- parents of this queue that waited only for removed jobs go too.
--
-- @key wait
-- @key paused
-- @key prioritized
-- @key delayed
-- @key repeat_set
-- @key prefix
-- @key <id>          hash of each job, with its further keys
-- @key groups:*       see lib/groups
-- @arg now
-- @arg with_delayed  1 removes delayed jobs too
-- @arg slice
-- @arg kept          how many jobs that stay are known to be at the end of `wait` and `delayed`: two numbers
-- @arg kept_delayed
-- @ret { 1 while more is to be done, kept, kept_delayed }
-- @use lib/event, lib/groups, lib/remove, lib/scheduled

slice, kept, kept_delayed = tonumber(slice), tonumber(kept), tonumber(kept_delayed)
local more = 0

local function forget(ids, step)
  local listed = {}
  for at = 1, #ids, step do
    listed[#listed + 1] = ids[at]
  end
  forget_jobs(prefix, listed, tonumber(now), true)
  if #ids >= slice * step then
    more = 1
  end
end

-- From the right end, behind those that are known to stay.
local ids = call('LRANGE', wait, -kept - slice, -kept - 1)
if #ids > 0 then
  local stay = kept > 0 and call('RPOP', wait, kept) or {}
  call('LTRIM', wait, 0, -#ids - 1)
  -- RPOP gives the rightmost first, so the pushed back come out in the old order.
  local gone = {}
  for at = #ids, 1, -1 do
    if is_pending_of_scheduler(repeat_set, ids[at]) then
      stay[#stay + 1] = ids[at]
    else
      gone[#gone + 1] = ids[at]
    end
  end
  kept = #stay
  for at = #stay, 1, -1 do
    call('RPUSH', wait, stay[at])
  end
  forget_jobs(prefix, gone, tonumber(now), true)
  if #ids == slice then
    more = 1
  end
end

local older = call('LRANGE', paused, 0, slice - 1)
if #older > 0 then
  call('LTRIM', paused, #older, -1)
  forget(older, 1)
end
forget(call('ZPOPMIN', prioritized, slice), 2)

local group = call('ZRANGE', prefix .. 'groups:sizes', 0, 0)[1]
if group then
  forget(call('ZRANGE', group_jobs(prefix, group), 0, slice - 1), 1)
  more = 1
end

if with_delayed == '1' then
  forget(call('ZRANGE', prefix .. 'groups:delayed', 0, slice - 1), 1)
  local due = call('ZRANGE', delayed, kept_delayed, kept_delayed + slice - 1)
  local gone = {}
  for _, id in ipairs(due) do
    if is_pending_of_scheduler(repeat_set, id) then
      kept_delayed = kept_delayed + 1
    else
      gone[#gone + 1] = id
    end
  end
  if #gone > 0 then
    call('ZREM', delayed, unpack(gone))
    forget_jobs(prefix, gone, tonumber(now), true)
  end
  if #due == slice then
    more = 1
  end
end
return { more, kept, kept_delayed }
