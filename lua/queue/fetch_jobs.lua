-- Takes waiting jobs for a worker.
--
-- @key wait
-- @key active
-- @key prioritized
-- @key pc
-- @key delayed
-- @key meta
-- @key marker
-- @key limiter
-- @key events
-- @key prefix
-- @key <id>           hash of each job taken
-- @key <id>:lock
-- @arg now
-- @arg wanted         how many at most
-- @arg ahead          how many beyond those, where nothing bounds the whole queue
-- @arg token          value of the locks
-- @arg lock_ms        their life
-- @arg worker_name    or ''
-- @arg limiter_max    jobs a period, or ''
-- @arg limiter_ms     the period, or ''
-- @ret { ms until the rate limit ends or 0, when the next delayed job is due or 0, id, job before, id, job ... }; a job
--      is its hash, or when it has no other fields the values of name, data, opts, timestamp, delay, priority, and 1
-- @err INCOMPATIBLEDATA
-- @use lib/old_pause, lib/take

local q = {
  prefix = prefix, wait = wait, active = active, prioritized = prioritized, pc = pc, delayed = delayed, meta = meta,
  marker = marker, limiter = limiter, events = events,
}
local settings = read_meta(meta)
local refusal = settings[1] and paused_by_old_version(meta, prefix .. 'paused')
if refusal then
  return refusal
end
return take_jobs(q, settings, {
  time = now, wanted = wanted, ahead = ahead, token = token, lock_ms = lock_ms, worker_name = worker_name, limiter_max = limiter_max,
  limiter_ms = limiter_ms,
})
