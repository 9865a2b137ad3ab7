-- Finds the jobs that a call took whose reply was lost: among the last 1,000 that became active, those with its token.
--
-- @key active
-- @key prefix
-- @key <id>:lock
-- @arg token
-- @ret { 0, 0, id, hash, id, hash ... } as fetch_jobs, but with the hash as it is now

local found = { 0, 0 }
for _, id in ipairs(call('LRANGE', active, 0, 999)) do
  if call('GET', prefix .. id .. ':lock') == token then
    found[#found + 1] = id
    found[#found + 1] = call('HGETALL', prefix .. id)
  end
end
return found
