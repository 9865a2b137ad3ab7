-- Parts a child from its parent, which no longer waits for it.
--
-- @key job
-- @key <parent>     hash of the parent, and what its queue needs to let it run
-- @arg id
-- @arg now
-- @ret 1, or 0 when the job's parent does not wait for it
-- @err JOBNOTFOUND PARENTNOTFOUND
-- @use lib/parent

if call('EXISTS', job) == 0 then
  return redis.error_reply('JOBNOTFOUND job ' .. id .. ' does not exist')
end
local ties = call('HMGET', job, 'parent', 'parentKey')
local parent_prefix, parent_id = parent_of(ties[1], ties[2])
if not parent_prefix then
  return 0
end
if call('EXISTS', parent_prefix .. parent_id) == 0 then
  return redis.error_reply('PARENTNOTFOUND parent ' .. parent_prefix .. parent_id .. ' of job ' .. id .. ' does not exist')
end
if not release_from(parent_prefix, parent_id, job, tonumber(now)) then
  return 0
end
call('HDEL', job, 'parentKey', 'parent')
return 1
