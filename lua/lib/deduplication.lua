-- The window in which one job stands for all that carry the same deduplication id.
--
-- @use lib/event, lib/marker, lib/place

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
