-- Deletes a paused queue, a slice a call. Parents in other queues no longer wait for its jobs.
--
-- @key meta
-- @key prefix
-- @key <*>      every key of the queue
-- @arg force    1: also with active jobs
-- @arg slice
-- @arg now
-- @ret 1 while more is to be done
-- @err NOTINSTATE
-- @use lib/groups, lib/remove

slice, now = tonumber(slice), tonumber(now)
if call('HGET', meta, 'paused') == false then
  return redis.error_reply('NOTINSTATE the queue is not paused')
end
if force ~= '1' and call('LLEN', prefix .. 'active') > 0 then
  return redis.error_reply('NOTINSTATE jobs are active')
end

local function forget_listed(ids, step)
  local listed = {}
  for at = 1, #ids, step do
    listed[#listed + 1] = ids[at]
  end
  forget_jobs(prefix, listed, now, true)
end

for _, name in ipairs({ 'active', 'wait', 'paused' }) do
  local ids = call('LPOP', prefix .. name, slice)
  if ids and #ids > 0 then
    forget_listed(ids, 1)
    return 1
  end
end
for _, name in ipairs({ 'delayed', 'prioritized', 'waiting-children', 'completed', 'failed' }) do
  local ids = call('ZPOPMIN', prefix .. name, slice)
  if #ids > 0 then
    forget_listed(ids, 2)
    return 1
  end
end
local group = call('ZRANGE', prefix .. 'groups:sizes', 0, 0)[1]
if group then
  forget_listed(call('ZRANGE', group_jobs(prefix, group), 0, slice - 1), 1)
  return 1
end
local delayed = call('ZRANGE', prefix .. 'groups:delayed', 0, slice - 1)
if #delayed > 0 then
  forget_listed(delayed, 1)
  return 1
end
local schedulers = call('ZPOPMIN', prefix .. 'repeat', slice)
if #schedulers > 0 then
  for at = 1, #schedulers, 2 do
    call('DEL', prefix .. 'repeat:' .. schedulers[at])
  end
  return 1
end
local workers = call('SPOP', prefix .. 'oxcart:workers', slice)
if #workers > 0 then
  for _, id in ipairs(workers) do
    call('DEL', prefix .. 'oxcart:workers:' .. id)
  end
  return 1
end
for _, name in ipairs({ 'meta', 'id', 'pc', 'marker', 'limiter', 'events', 'stalled', 'stalled-check', 'repeat',
  'metrics:completed', 'metrics:completed:data', 'metrics:failed', 'metrics:failed:data', 'groups', 'groups:state', 'groups:concurrency', 'groups:limits',
  'groups:active', 'groups:running', 'groups:limited', 'groups:paused' }) do
  call('DEL', prefix .. name)
end
return 0
