-- Lists a worker, for as long as it says so again before the time is over.
--
-- @key workers        set of worker ids
-- @key entry          what the worker says of itself; gone when it is silent for too long
-- @arg worker_id
-- @arg description    JSON
-- @arg ms             until it must say so again
-- @ret nothing

call('SET', entry, description, 'PX', ms)
call('SADD', workers, worker_id)
return false
