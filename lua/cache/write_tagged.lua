-- Writes an entry that carries tags, under the versions that they have now.
-- The time is the server's and no argument, because versions must grow whichever process asks.
--
-- @key  entry
-- @key  lease       of whoever is asking the source for the entry: it ends
-- @key  prefix      what every key of the cache begins with
-- @key  <prefix>#tag:<tag>       version of a tag
-- @key  <prefix>#tagged:<tag>    HyperLogLog of the keys written under it since its last invalidation
-- @arg  value       JSON text
-- @arg  ttl_ms
-- @arg  condition   NX, XX or empty, as of SET
-- @arg  created_ms  the writer's clock
-- @arg  keep_ms     how long the versions must be kept at least
-- @arg  ...tags     at least one
-- @ret  0 when the condition did not hold, 1 when written, 2 when the record of a version was changed, too
-- @use  lib/tag_version

local exists = call('EXISTS', entry) == 1
if (condition == 'NX' and exists) or (condition == 'XX' and not exists) then
  return 0
end
local versions = {}
local answer = 1
for index = tags_offset + 1, #tags do
  local tag = tags[index]
  local version, changed = current_version(prefix, tag, tonumber(keep_ms))
  versions[tag] = version
  if changed then
    answer = 2
  end
  call('PFADD', members_key(prefix, tag), entry)
end
local line = '{"t":' .. cjson.encode(versions) .. ',"c":' .. created_ms .. '}'
call('DEL', lease)
call('SET', entry, '\1' .. line .. '\n' .. value, 'PX', ttl_ms)
return answer
