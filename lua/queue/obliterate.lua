-- Deletes a paused queue, a slice a call.
--
-- @key meta
-- @key prefix
-- @key <*>      every key of the queue
-- @arg force    1: also with active jobs
-- @arg slice
-- @ret 1 while more is to be done
-- @err NOTINSTATE
-- @use lib/job_keys

slice = tonumber(slice)
if call('HGET', meta, 'paused') == false then
  return redis.error_reply('NOTINSTATE the queue is not paused')
end
if force ~= '1' and call('LLEN', prefix .. 'active') > 0 then
  return redis.error_reply('NOTINSTATE jobs are active')
end

local function delete_listed(ids, step)
  local keys = {}
  for at = 1, #ids, step do
    keys[#keys + 1] = prefix .. ids[at]
  end
  delete_jobs(keys)
end

for _, name in ipairs({ 'active', 'wait', 'paused' }) do
  local ids = call('LPOP', prefix .. name, slice)
  if ids and #ids > 0 then
    delete_listed(ids, 1)
    return 1
  end
end
for _, name in ipairs({ 'delayed', 'prioritized', 'waiting-children', 'completed', 'failed' }) do
  local ids = call('ZPOPMIN', prefix .. name, slice)
  if #ids > 0 then
    delete_listed(ids, 2)
    return 1
  end
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
  'metrics:completed', 'metrics:completed:data', 'metrics:failed', 'metrics:failed:data' }) do
  call('DEL', prefix .. name)
end
return 0
