-- Adds a row to the log of a job.
--
-- @key job
-- @key logs
-- @arg id
-- @arg row
-- @arg keep  rows that stay, or ''
-- @ret rows there are now
-- @err JOBNOTFOUND

if call('EXISTS', job) == 0 then
  return redis.error_reply('JOBNOTFOUND job ' .. id .. ' does not exist')
end
local rows = call('RPUSH', logs, row)
if keep ~= '' and rows > tonumber(keep) then
  call('LTRIM', logs, -tonumber(keep), -1)
  return tonumber(keep)
end
return rows
