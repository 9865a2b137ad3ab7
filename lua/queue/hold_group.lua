-- Holds a group or lets it go on.
--
-- @key meta
-- @key active
-- @key marker
-- @key prefix
-- @arg group
-- @arg how      pause, resume, or milliseconds to rest
-- @arg now
-- @ret 1, or 0 when nothing has changed
-- @use lib/groups, lib/marker

local paused = prefix .. 'groups:paused'
if how == 'pause' then
  call('HSET', meta, 'groups', '1')
  call('ZREM', prefix .. 'groups', group)
  return call('SADD', paused, group)
end
if how == 'resume' then
  if call('SREM', paused, group) == 0 then
    return 0
  end
  if call('ZSCORE', prefix .. 'groups:sizes', group) then
    offer_group(prefix, group)
    mark_unless_held(marker, meta, active)
  end
  return 1
end
call('HSET', meta, 'groups', '1')
limit_group(prefix, group, tonumber(now) + tonumber(how))
return 1
