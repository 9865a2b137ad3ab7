-- Puts the jobs that dead letters tell of back into the queue that they came from, with all their attempts.
--
-- @key wait           the letters
-- @key meta
-- @key events
-- @key prefix
-- @key target         first part of the keys of the queue that the jobs go to, in the same slot
-- @key <id>           hash of each letter and of each job
-- @arg now
-- @arg first          place of the first of these letters, counted from the oldest; a hundred more may have gone since
-- @arg last
-- @arg ...redriven    2 each: id of the letter, data of the job as it was stored
-- @ret how many went; a letter stays that a worker has taken, or whose job's id is in use again
-- @err INCOMPATIBLEDATA
-- @use lib/event, lib/job_keys, lib/marker, lib/old_pause, lib/place, lib/queue_keys

local to = queue_keys(target)
local refusal = paused_by_old_version(to.meta, target .. 'paused')
if refusal then
  return refusal
end
local from = math.max(tonumber(first) - 100, 0)
local window, places = call('LRANGE', wait, -1 - tonumber(last), -1 - from), {}
for index, id in ipairs(window) do
  places[id] = -1 - from - #window + index
end

local gone = {}
for at = redriven_offset + 1, #redriven, 2 do
  local letter = redriven[at]
  local origin = places[letter] and call('HGET', prefix .. letter, 'dl')
  local decoded, job = pcall(cjson.decode, origin or '')
  local key = decoded and type(job) == 'table' and job.id and target .. job.id
  if key and call('EXISTS', key) == 0 then
    call('HSET', key, 'name', job.name, 'data', redriven[at + 1], 'opts', job.opts, 'timestamp', now, 'delay', '0',
      'priority', job.priority)
    if job.gid then
      call('HSET', key, 'gid', job.gid)
    end
    if job.parentKey then
      call('HSET', key, 'parentKey', job.parentKey, 'parent', job.parent or '{}')
      if call('EXISTS', job.parentKey) == 1 then
        -- Its parent misses it again, as after a retry.
        call('SADD', job.parentKey .. ':dependencies', key)
        call('ZREM', job.parentKey .. ':unsuccessful', key)
        call('HDEL', job.parentKey .. ':failed', key)
      end
    end
    emit(to.events, 'added', 'jobId', job.id, 'name', job.name)
    place_waiting(to, job.id, tonumber(job.priority) or 0, false, nil)
    call('LSET', wait, places[letter], '')
    gone[#gone + 1] = prefix .. letter
    emit(events, 'removed', 'jobId', letter, 'prev', 'waiting')
  end
end
if #gone > 0 then
  -- Marked above and taken out together: one pass over the list.
  call('LREM', wait, -#gone, '')
  delete_jobs(gone)
  mark_unless_held(to.marker, to.meta, to.active)
  trim_events(to.events, to.meta)
  trim_events(events, meta)
end
return #gone
