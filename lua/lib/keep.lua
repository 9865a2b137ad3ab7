-- Which finished jobs stay. Evaluated when a job of the same end finishes.
--
-- @use lib/job_keys, lib/remove

-- A completed child is among its parent's results; a failed one may be what its parent still waits for.
local function evict(prefix, set, ids, have_failed, now)
  local keys = {}
  for index, id in ipairs(ids) do
    keys[index] = prefix .. id
    if have_failed then
      leave_parent(prefix, id, call('HMGET', keys[index], 'parent', 'parentKey'), now, false)
    end
  end
  delete_jobs(keys)
  -- unpack has its limits.
  for at = 1, #ids, 1000 do
    call('ZREM', set, unpack(ids, at, math.min(at + 999, #ids)))
  end
end

-- `count` -1 keeps any number, `age` is in seconds or ''; at most `limit` jobs go each time for each of the two.
local function keep_finished(prefix, set, count, age, limit, have_failed, now)
  if age ~= '' then
    local old = call('ZRANGEBYSCORE', set, '-inf', now - tonumber(age) * 1000, 'LIMIT', 0, limit)
    evict(prefix, set, old, have_failed, now)
  end
  if count > 0 then
    local over = call('ZCARD', set) - count
    if over > 0 then
      evict(prefix, set, call('ZRANGE', set, 0, math.min(over, limit) - 1), have_failed, now)
    end
  end
end
