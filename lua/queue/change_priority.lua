-- Gives a job another priority, and its place by it when it waits.
--
-- @key job
-- @key wait
-- @key prioritized
-- @key pc
-- @key groups:*  see lib/groups
-- @arg id
-- @arg priority
-- @arg front     1: before all others of that priority
-- @ret 1
-- @err JOBNOTFOUND INCOMPATIBLEDATA
-- @use lib/groups, lib/old_pause, lib/place

if call('EXISTS', job) == 0 then
  return redis.error_reply('JOBNOTFOUND job ' .. id .. ' does not exist')
end
local prefix = string.sub(job, 1, #job - #id)
local refusal = paused_by_old_version(prefix .. 'meta', prefix .. 'paused')
if refusal then
  return refusal
end
priority = tonumber(priority)
call('HSET', job, 'priority', priority)
local group = call('HGET', job, 'gid')
if group then
  if call('ZSCORE', group_jobs(prefix, group), id) then
    call('ZADD', group_jobs(prefix, group), group_score(prefix, priority, front == '1'), id)
  end
elseif call('ZREM', prioritized, id) == 1 or call('LREM', wait, -1, id) == 1 then
  if priority > 0 then
    call('ZADD', prioritized, front == '1' and priority * 4294967296 or priority_score(pc, priority), id)
  else
    call(front == '1' and 'RPUSH' or 'LPUSH', wait, id)
  end
end
return 1
