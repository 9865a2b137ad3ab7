-- How many jobs are in each state, all at one moment. Those in groups count as waiting or delayed.
--
-- @key wait
-- @key active
-- @key delayed
-- @key prioritized
-- @key waiting_children
-- @key completed
-- @key failed
-- @key prefix
-- @key groups:*   see lib/groups
-- @ret counts in the order of the keys

return {
  call('LLEN', wait) + (tonumber(call('HGET', prefix .. 'groups:state', 'waiting') or '') or 0), call('LLEN', active),
  call('ZCARD', delayed) + call('ZCARD', prefix .. 'groups:delayed'), call('ZCARD', prioritized),
  call('ZCARD', waiting_children), call('ZCARD', completed), call('ZCARD', failed),
}
