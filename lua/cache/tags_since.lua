-- Reads the versions of tags that a factory named while it ran, if none was invalidated since it began.
-- The time is the server's and no argument, because versions must grow whichever process asks.
--
-- @key  prefix      what every key of the cache begins with
-- @key  <prefix>#tag:<tag>       version of a tag
-- @key  <prefix>#tagged:<tag>    HyperLogLog of the keys written under it since its last invalidation
-- @arg  began       the server's time, in microseconds
-- @arg  keep_ms     how long the versions must be kept at least
-- @arg  ...tags     at least one
-- @ret  the versions, in the order of the tags | nothing when one was invalidated
-- @use  lib/tag_version

local versions = {}
for index = tags_offset + 1, #tags do
  local version = tonumber(call('GET', version_key(prefix, tags[index])) or '')
  if version and version >= tonumber(began) then
    return {}
  end
end
for index = tags_offset + 1, #tags do
  versions[#versions + 1] = current_version(prefix, tags[index], tonumber(keep_ms))
end
return versions
