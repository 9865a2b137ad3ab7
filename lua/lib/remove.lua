-- Takes a job out of the queue with all that belongs to it.
--
-- @use lib/event, lib/job_keys, lib/marker, lib/parent

-- The hash must still be there: what the job is tied to stands in it.
local function forget_job(prefix, id, now)
  local key = prefix .. id
  local ties = call('HMGET', key, 'deid', 'parentKey')
  if ties[1] and call('GET', prefix .. 'de:' .. ties[1]) == id then
    call('DEL', prefix .. 'de:' .. ties[1])
  end
  if ties[2] then
    local parent_prefix, parent_id = string.match(ties[2], '^(.*:)([^:]*)$')
    if parent_prefix then
      local parent = parent_prefix .. parent_id
      call('ZREM', parent .. ':unsuccessful', key)
      call('HDEL', parent .. ':failed', key)
      if call('SREM', parent .. ':dependencies', key) == 1 then
        release_parent_if_alone(parent_prefix, parent_id, now)
      end
    end
  end
  delete_job(key)
end
