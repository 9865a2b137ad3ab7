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
-- @arg token          value of the locks
-- @arg lock_ms        their life
-- @arg worker_name    or ''
-- @arg limiter_max    jobs a period, or ''
-- @arg limiter_ms     the period, or ''
-- @ret { ms until the rate limit ends or 0, when the next delayed job is due or 0, id, hash before, id, hash ... }
-- @use lib/take

local q = {
  prefix = prefix, wait = wait, active = active, prioritized = prioritized, pc = pc, delayed = delayed, meta = meta,
  marker = marker, limiter = limiter, events = events,
}
now, wanted = tonumber(now), tonumber(wanted)
return take_jobs(q, read_meta(meta), now, wanted, token, lock_ms, worker_name, limiter_max, limiter_ms)
