-- Gives tags a new version, which kills every entry that carries an older one.
-- The time is the server's and no argument, because versions must grow whichever process asks.
--
-- @key  prefix      what every key of the cache begins with
-- @key  <prefix>#tag:<tag>       version of a tag
-- @key  <prefix>#tagged:<tag>    HyperLogLog of the keys written under it since its last invalidation
-- @arg  keep_ms     how long the versions must be kept at least
-- @arg  ...tags     at least one
-- @ret  about how many keys were written under the tags since each was last invalidated
-- @use  lib/tag_version

local members = {}
for index = tags_offset + 1, #tags do
  members[#members + 1] = members_key(prefix, tags[index])
end
local count = call('PFCOUNT', unpack(members))
for index, key in ipairs(members) do
  local version = version_key(prefix, tags[tags_offset + index])
  call('SET', version, digits(new_version(tonumber(call('GET', version) or ''))), 'KEEPTTL')
  keep(version, tonumber(keep_ms))
  -- Empty, not gone: an entry still on its way under the old version is counted into a key that expires.
  call('DEL', key)
  call('PFADD', key)
  keep(key, tonumber(keep_ms))
end
return count
