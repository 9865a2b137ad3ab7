-- Reads the versions of tags before a value is loaded that will carry them. A tag without a version gets one.
-- The time is the server's and no argument, because versions must grow whichever process asks.
--
-- @key  prefix      what every key of the cache begins with
-- @key  <prefix>#tag:<tag>       version of a tag
-- @key  <prefix>#tagged:<tag>    HyperLogLog of the keys written under it since its last invalidation
-- @arg  keep_ms     how long the versions must be kept at least
-- @arg  ...tags
-- @ret  1 when the record of a version was changed, or 0; then the versions, in the order of the tags
-- @use  lib/tag_version

local answer = { 0 }
for index = tags_offset + 1, #tags do
  local version, changed = current_version(prefix, tags[index], tonumber(keep_ms))
  answer[#answer + 1] = version
  if changed then
    answer[1] = 1
  end
end
return answer
