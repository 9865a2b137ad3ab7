-- Replaces the data of a job.
--
-- @key job
-- @arg id
-- @arg data  JSON
-- @ret 1
-- @err JOBNOTFOUND

if call('EXISTS', job) == 0 then
  return redis.error_reply('JOBNOTFOUND job ' .. id .. ' does not exist')
end
call('HSET', job, 'data', data)
return 1
