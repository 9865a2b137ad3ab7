-- How many jobs are in each state, all at one moment.
--
-- @key wait
-- @key active
-- @key delayed
-- @key prioritized
-- @key waiting_children
-- @key completed
-- @key failed
-- @ret counts in the order of the keys

return {
  call('LLEN', wait), call('LLEN', active), call('ZCARD', delayed), call('ZCARD', prioritized),
  call('ZCARD', waiting_children), call('ZCARD', completed), call('ZCARD', failed),
}
