-- Whether a new job may be added beside what carries its deduplication id already.
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
