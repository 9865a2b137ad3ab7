-- Sets the limits of all groups, or of one.
--
-- @key meta
-- @key active
-- @key marker
-- @key prefix
-- @arg group        '' for those that have no limits of their own
-- @arg concurrency  jobs of a group at once; '' for no bound, '-' leaves it as it is
-- @arg max          jobs of a group in each period; '' for no bound, '-' leaves it as it is
-- @arg ms           the period
-- @ret 1
-- @use lib/groups, lib/marker

call('HSET', meta, 'groups', '1')

local function set(hash, field, value)
  if value == '' then
    call('HDEL', hash, field)
  elseif value ~= '-' then
    call('HSET', hash, field, value)
  end
end

local state = prefix .. 'groups:state'
if group == '' then
  set(state, 'concurrency', concurrency)
  set(state, 'max', max)
  set(state, 'ms', max == '-' and '-' or ms)
else
  call('HSET', state, 'overrides', '1')
  set(prefix .. 'groups:concurrency', group, concurrency)
  set(prefix .. 'groups:limits', group, (max == '' or max == '-') and max or max .. ':' .. ms)
end
-- A wider bound lets groups go on that had reached the old one, and a rest that an old limit gave may be over.
local held = group == '' and call('HKEYS', prefix .. 'groups:active') or { group }
for _, one in ipairs(held) do
  if call('ZSCORE', prefix .. 'groups:sizes', one) then
    if max ~= '-' then
      call('ZREM', prefix .. 'groups:limited', one)
    end
    offer_group(prefix, one)
  end
end
if groups_wait(prefix) then
  mark_unless_held(marker, meta, active)
end
return 1
