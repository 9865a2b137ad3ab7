-- Dead letters: waiting jobs of a queue of their own that tell of jobs which have failed for good.
--
-- @use lib/event, lib/job_keys, lib/marker

-- `job` has the stored fields of the failed job, `failure` what is known of its end. `letters` has the keys of the queue
-- that the letter goes to.
local function post_letter(letters, queue, id, job, failure, now)
  local encode = cjson.encode
  local name = job.name or ''
  local data = '{"originalQueue":' .. encode(queue) .. ',"originalJobType":' .. encode(name) .. ',"originalJobId":'
    .. encode(id) .. ',"originalData":' .. (job.data or '{}') .. ',"error":' .. encode(failure.text)
    .. ',"reason":' .. encode(failure.reason) .. ',"failedAt":' .. encode(failure.at) .. ',"attemptsMade":'
    .. failure.attempts .. ',"stacktrace":' .. (failure.stacktrace ~= '' and failure.stacktrace or '[]') .. '}'
  -- Only text, which comes through unharmed.
  local origin = '{"queue":' .. encode(queue) .. ',"id":' .. encode(id) .. ',"name":' .. encode(name)
    .. ',"opts":' .. encode(job.opts or '{}') .. ',"priority":' .. encode(job.priority or '0')
  for _, field in ipairs({ 'parent', 'parentKey', 'gid' }) do
    if job[field] then
      origin = origin .. ',"' .. field .. '":' .. encode(job[field])
    end
  end
  origin = origin .. '}'
  local letter = string.format('%.0f', call('INCR', letters.counter))
  call('HSET', letters.prefix .. letter, 'name', 'failed-job', 'data', data, 'opts', '{"attempts":0}', 'timestamp', now,
    'delay', '0', 'priority', '0', 'dl', origin)
  call('LPUSH', letters.wait, letter)
  emit(letters.events, 'added', 'jobId', letter, 'name', 'failed-job')
  emit(letters.events, 'waiting', 'jobId', letter)
end

-- Drops the oldest letters above the limit, a bounded number.
local function bound_letters(letters, limit)
  local over = call('LLEN', letters.wait) - limit
  if over > 0 then
    local keys = {}
    for _, id in ipairs(call('RPOP', letters.wait, math.min(over, 1000))) do
      keys[#keys + 1] = letters.prefix .. id
      emit(letters.events, 'removed', 'jobId', id, 'prev', 'waiting')
    end
    delete_jobs(keys)
  end
end
