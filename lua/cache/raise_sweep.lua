-- Ends every lease of the cache at once, before keys are removed by a pattern.
-- The time is the server's and no argument, because versions must grow whichever process asks.
--
-- @key  sweep       version of the cache's last pattern delete or flush
-- @arg  keep_ms     longer than any lease
-- @ret  1
-- @use  lib/server_version

call('SET', sweep, digits(new_version(tonumber(call('GET', sweep) or ''))), 'PX', keep_ms)
return 1
