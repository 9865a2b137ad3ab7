-- Whether an active job has children to wait for.
--
-- @key job
-- @arg id
-- @arg token  must be the value of its lock
-- @arg child  key of the one child to ask for, or ''
-- @ret 1, or 0 when none is unfinished
-- @err JOBNOTFOUND LOCKMISSING LOCKMISMATCH FAILEDCHILDREN

if call('EXISTS', job) == 0 then
  return redis.error_reply('JOBNOTFOUND job ' .. id .. ' does not exist')
end
local lock = call('GET', job .. ':lock')
if not lock then
  return redis.error_reply('LOCKMISSING job ' .. id .. ' is locked by nobody')
end
if lock ~= token then
  return redis.error_reply('LOCKMISMATCH job ' .. id .. ' is locked by another worker')
end
if call('EXISTS', job .. ':unsuccessful') == 1 then
  return redis.error_reply('FAILEDCHILDREN job ' .. id .. ' has children that failed')
end
if child == '' then
  return call('EXISTS', job .. ':dependencies')
end
return call('SISMEMBER', job .. ':dependencies', child)
