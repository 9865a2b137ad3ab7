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
-- @arg profile_count
-- @arg ...jobs      what jobs have in common comes first, as profiles, 8 each: name, opts as JSON, delay, priority, 1 for
--                   last-in-first-out, deduplication id or '', its time in milliseconds or 0, its rules;
--                   then the jobs, 4 each: own id or '', data, timestamp, number of its profile
-- @ret ids in order; a job whose own id exists already, or which another one stands for, is not added again
-- @err INCOMPATIBLEDATA
-- @use lib/deduplication, lib/event, lib/marker, lib/old_pause, lib/place

local refusal = paused_by_old_version(meta, prefix .. 'paused')
if refusal then
  return refusal
end
local q = {
  prefix = prefix, wait = wait, prioritized = prioritized, pc = pc, delayed = delayed, events = events, active = active,
  marker = marker, grouped = false,
}
local profiles = {}
local at = jobs_offset
for number = 1, tonumber(profile_count) do
  -- By its number as text, as the jobs name it.
  profiles[tostring(number)] = {
    name = jobs[at + 1], opts = jobs[at + 2], delay = jobs[at + 3], priority = jobs[at + 4], lifo = jobs[at + 5] == '1',
    deduplication = jobs[at + 6], deduplication_ms = jobs[at + 7], deduplication_rules = jobs[at + 8],
  }
  at = at + 8
end
local count = (#jobs - at) / 4
local number = call('INCRBY', counter, count) - count
local ids, back, front, ranked = {}, {}, {}, {}
local has_delayed = false

for index = 1, count do
  local id, data, timestamp, like = jobs[at + 1], jobs[at + 2], jobs[at + 3], profiles[jobs[at + 4]]
  at = at + 4
  local is_new = true
  if id == '' then
    id = string.format('%d', number + index)
  elseif call('EXISTS', prefix .. id) == 1 then
    emit(events, 'duplicated', 'jobId', id)
    is_new = false
  end
  if is_new and like.deduplication ~= '' then
    local job = { id = id, name = like.name, data = data, opts = like.opts, delay = tonumber(like.delay) }
    local owner =
      deduplicate(q, like.deduplication, tonumber(like.deduplication_ms), like.deduplication_rules, job, tonumber(now))
    if owner then
      id, is_new = owner, false
    end
  end
  ids[index] = id
  if is_new then
    call('HSET', prefix .. id, 'name', like.name, 'data', data, 'opts', like.opts, 'timestamp', timestamp,
      'delay', like.delay, 'priority', like.priority)
    if like.deduplication ~= '' then
      call('HSET', prefix .. id, 'deid', like.deduplication)
    end
    call('XADD', events, '*', 'event', 'added', 'jobId', id, 'name', like.name)
    if like.delay ~= '0' then
      place_delayed(q, id, tonumber(timestamp) + tonumber(like.delay))
      has_delayed = true
    else
      if like.priority ~= '0' then
        ranked[#ranked + 1] = like.priority * 4294967296
        ranked[#ranked + 1] = id
      elseif like.lifo then
        front[#front + 1] = id
      else
        back[#back + 1] = id
      end
      call('XADD', events, '*', 'event', 'waiting', 'jobId', id)
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
