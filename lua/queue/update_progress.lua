-- Stores the progress of a job and tells of it.
--
-- @key job
-- @key events
-- @key meta
-- @arg id
-- @arg progress  JSON
-- @ret 1
-- @err JOBNOTFOUND
-- @use lib/event

if call('EXISTS', job) == 0 then
  return redis.error_reply('JOBNOTFOUND job ' .. id .. ' does not exist')
end
call('HSET', job, 'progress', progress)
call('XADD', events, 'MAXLEN', '~', event_bound(meta), '*', 'event', 'progress', 'jobId', id, 'data', progress)
return 1
