-- Removes a scheduler's job that a worker has taken too late.
--
-- @key scheduler  hash of it
-- @key job
-- @key active
-- @key stalled
-- @key meta
-- @key marker
-- @key events
-- @key groups:*   see lib/groups
-- @arg id         of the job
-- @arg token      value of its lock
-- @ret 1, or 0 when the worker no longer holds the job
-- @use lib/event, lib/groups, lib/job_keys, lib/marker

if call('GET', job .. ':lock') ~= token then
  return 0
end
call('LREM', active, -1, id)
call('SREM', stalled, id)
if call('HEXISTS', job, 'gid') == 1 then
  release_group(string.sub(job, 1, #job - #id), id)
end
delete_job(job)
if call('EXISTS', scheduler) == 1 then
  call('HINCRBY', scheduler, 'skippedRuns', 1)
end
emit(events, 'removed', 'jobId', id, 'prev', 'active')
-- A slot became free that others may wait for.
mark_unless_held(marker, meta, active)
trim_events(events, meta)
return 1
