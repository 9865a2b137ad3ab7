-- The window in which one job stands for all that carry the same deduplication id: whether a new job may be added
-- beside it, and what comes when its owner has finished.
--
-- @use lib/event, lib/job_keys, lib/marker, lib/place

local function open_window(key, id, ttl)
  if ttl > 0 then
    call('SET', key, id, 'PX', ttl)
  else
    call('SET', key, id)
  end
end

-- `rules` has the letters e (each hit extends the window), r (replaces a delayed owner), s (reschedules a delayed
-- owner) and k (keeps the last job handed in while the owner is active, to start it afterwards). `job` is what is kept
-- then. Gives the id of the job that stands for the new one, or nil when the new one is to be added; the window is then
-- its.
local function deduplicate(q, dedup_id, ttl, rules, job, now)
  local key, kept = q.prefix .. 'de:' .. dedup_id, q.prefix .. 'dn:' .. dedup_id
  local extends, replaces = string.find(rules, 'e', 1, true), string.find(rules, 'r', 1, true)
  local reschedules, keeps = string.find(rules, 's', 1, true), string.find(rules, 'k', 1, true)
  -- The window of a job that may be kept ends with its owner, not with time.
  local life = keeps and 0 or ttl
  local owner = call('GET', key)
  if not owner then
    open_window(key, job.id, life)
    return nil
  end
  if replaces and call('ZREM', q.delayed, owner) == 1 then
    delete_job(q.prefix .. owner)
    call('DEL', kept)
    emit(q.events, 'removed', 'jobId', owner, 'prev', 'delayed')
    emit(q.events, 'deduplicated', 'jobId', job.id, 'deduplicationId', dedup_id, 'deduplicatedJobId', owner)
    if life > 0 and not extends then
      call('SET', key, job.id, 'KEEPTTL')
    else
      open_window(key, job.id, life)
    end
    return nil
  end
  if call('PTTL', key) == -1 and call('EXISTS', q.prefix .. owner) == 0 then
    -- Its owner vanished without a chance to close it.
    call('DEL', kept)
    open_window(key, job.id, life)
    return nil
  end
  emit(q.events, 'deduplicated', 'jobId', owner, 'deduplicationId', dedup_id, 'deduplicatedJobId', job.id)
  if keeps and call('LPOS', q.active, owner) then
    call('DEL', kept)
    call('HSET', kept, 'name', job.name, 'data', job.data, 'opts', job.opts, 'jid', job.id)
    call('PERSIST', key)
    return owner
  end
  if not replaces then
    if extends and ttl > 0 then
      open_window(key, owner, life)
    end
    if reschedules and call('ZREM', q.delayed, owner) == 1 then
      call('HSET', q.prefix .. owner, 'delay', job.delay)
      place_delayed(q, owner, now + job.delay)
      mark_delayed(q.marker, q.delayed)
    end
  end
  return owner
end

-- Creates the job that was handed in while the finished one ran (`keepLastIfActive`); it owns the window from now on.
local function start_kept_job(q, deduplication_key, next_key, now)
  local fields = call('HGETALL', next_key)
  local kept = {}
  for at = 1, #fields, 2 do
    kept[fields[at]] = fields[at + 1]
  end
  call('DEL', next_key)
  local decoded, opts = pcall(cjson.decode, kept.opts or '')
  if not decoded or type(opts) ~= 'table' or not kept.jid then
    return false
  end
  local key = q.prefix .. kept.jid
  if call('EXISTS', key) == 1 then
    return false
  end
  local delay, priority = tonumber(opts.delay) or 0, tonumber(opts.priority) or 0
  local row = { 'name', kept.name or '', 'data', kept.data or '{}', 'opts', kept.opts, 'timestamp', now,
    'delay', delay, 'priority', priority, 'deid', string.sub(next_key, #q.prefix + 4) }
  if kept.rjk then
    row[#row + 1] = 'rjk'
    row[#row + 1] = kept.rjk
  end
  if kept.pk then
    row[#row + 1] = 'parentKey'
    row[#row + 1] = kept.pk
    row[#row + 1] = 'parent'
    row[#row + 1] = kept.pd or '{}'
    call('SADD', kept.pk .. ':dependencies', key)
  end
  call('HSET', key, unpack(row))
  call('SET', deduplication_key, kept.jid)
  emit(q.events, 'added', 'jobId', kept.jid, 'name', kept.name or '')
  if delay > 0 then
    place_delayed(q, kept.jid, now + delay)
    mark_delayed(q.marker, q.delayed)
  else
    place_waiting(q, kept.jid, priority, opts.lifo, nil)
    mark_unless_held(q.marker, q.meta, q.active)
  end
  return true
end

-- The owner has finished or is gone. A window with a time of its own outlives it.
local function release_deduplication(q, deduplication_id, job_id, now)
  local key = q.prefix .. 'de:' .. deduplication_id
  local next_key = q.prefix .. 'dn:' .. deduplication_id
  if call('GET', key) ~= job_id then
    return
  end
  if call('EXISTS', next_key) == 1 and start_kept_job(q, key, next_key, now) then
    return
  end
  if call('PTTL', key) == -1 then
    call('DEL', key)
  end
end
