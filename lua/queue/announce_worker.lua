-- Lists a worker, for as long as it says so again before the time is over.
--
-- @key workers        set of worker ids
-- @key worker         what the worker says of itself; gone when it is silent for too long
-- @arg worker_id
-- @arg description    JSON
-- @arg lease_ms       until it must say so again
-- @ret nothing

call('SET', worker, description, 'PX', lease_ms)
call('SADD', workers, worker_id)
return false
