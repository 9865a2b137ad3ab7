-- Adds jobs in order.
--
-- @key counter      numbers the jobs
-- @key wait
-- @key prioritized
-- @key pc           orders jobs of one priority
-- @key delayed
-- @key active
-- @key meta
-- @key marker
-- @key events
-- @key prefix       of every key of the queue
-- @key <id>         hash of each job
-- @key de:<id>       id of the job that owns a deduplication id, and dn:<id> what follows it
-- @arg now
-- @arg ...jobs      11 a job: own id or '', name, data, opts as JSON, timestamp, delay, priority, 1 for
--                   last-in-first-out, deduplication id or '', its time in milliseconds or 0, its rules
-- @ret ids in order; a job whose own id exists already, or which another one stands for, is not added again
-- @use lib/deduplicate, lib/event, lib/marker, lib/place

local q = {
  prefix = prefix, wait = wait, prioritized = prioritized, pc = pc, delayed = delayed, events = events, active = active,
  marker = marker,
}
local stride = 11
local count = (#jobs - jobs_offset) / stride
local number = call('INCRBY', counter, count) - count
local ids, back, front, ranked = {}, {}, {}, {}
local has_delayed = false

for index = 1, count do
  local at = jobs_offset + (index - 1) * stride
  number = number + 1
  local id, name = jobs[at + 1], jobs[at + 2]
  local is_new = true
  if id == '' then
    id = string.format('%.0f', number)
  elseif call('EXISTS', prefix .. id) == 1 then
    emit(events, 'duplicated', 'jobId', id)
    is_new = false
  end
  local dedup_id = jobs[at + 9]
  if is_new and dedup_id ~= '' then
    local job = { id = id, name = name, data = jobs[at + 3], opts = jobs[at + 4], delay = tonumber(jobs[at + 6]) }
    local owner = deduplicate(q, dedup_id, tonumber(jobs[at + 10]), jobs[at + 11], job, tonumber(now))
    if owner then
      id, is_new = owner, false
    end
  end
  ids[index] = id
  if is_new then
    local timestamp, delay, priority = jobs[at + 5], jobs[at + 6], jobs[at + 7]
    call('HSET', prefix .. id, 'name', name, 'data', jobs[at + 3], 'opts', jobs[at + 4],
      'timestamp', timestamp, 'delay', delay, 'priority', priority)
    if dedup_id ~= '' then
      call('HSET', prefix .. id, 'deid', dedup_id)
    end
    emit(events, 'added', 'jobId', id, 'name', name)
    if delay ~= '0' then
      place_delayed(q, id, tonumber(timestamp) + tonumber(delay))
      has_delayed = true
    else
      if priority ~= '0' then
        ranked[#ranked + 1] = priority * 4294967296
        ranked[#ranked + 1] = id
      elseif jobs[at + 8] == '1' then
        front[#front + 1] = id
      else
        back[#back + 1] = id
      end
      emit(events, 'waiting', 'jobId', id)
    end
  end
end

if #back > 0 then
  call('LPUSH', wait, unpack(back))
end
if #front > 0 then
  call('RPUSH', wait, unpack(front))
end
if #ranked > 0 then
  local place = call('INCRBY', pc, #ranked / 2) - #ranked / 2
  for at = 1, #ranked, 2 do
    place = place + 1
    ranked[at] = ranked[at] + place % 4294967296
    -- unpack would write it with 14 digits
    ranked[at] = string.format('%.0f', ranked[at])
  end
  call('ZADD', prioritized, unpack(ranked))
end
if #back > 0 or #front > 0 or #ranked > 0 then
  mark_unless_held(marker, meta, active)
end
if has_delayed then
  mark_delayed(marker, delayed)
end
trim_events(events, meta)
return ids
