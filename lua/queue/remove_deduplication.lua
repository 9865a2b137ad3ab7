-- Ends a deduplication window, if this job owns it.
--
-- @key window  id of the job that owns it
-- @arg id
-- @ret 1, or 0 when it is another's

if call('GET', window) ~= id then
  return 0
end
return call('DEL', window)
