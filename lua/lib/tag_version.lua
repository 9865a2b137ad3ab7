-- Versions of cache tags: numbers that only grow. So an entry written under an old version never becomes valid again,
-- though writers' clocks differ or a version was lost to eviction.
--
-- @use lib/server_version

local function version_key(prefix, tag)
  return prefix .. '#tag:' .. tag
end

-- HyperLogLog of the keys written under the tag since its last invalidation.
local function members_key(prefix, tag)
  return prefix .. '#tagged:' .. tag
end

-- Keeps a record of the tag for at least `keep_ms`; whether its expiry had to be changed. An hour longer, because a change
-- of the record ends the copies of the tag's entries in all processes, and this is no good reason for that.
local function keep(key, keep_ms)
  if call('PTTL', key) >= keep_ms then
    return false
  end
  call('PEXPIRE', key, digits(keep_ms + 3600000))
  return true
end

-- The version that the tag has, or a first one, and whether its record was changed; it and the member count outlive an
-- entry that lives `keep_ms`.
local function current_version(prefix, tag, keep_ms)
  local key = version_key(prefix, tag)
  local version = call('GET', key)
  if not version then
    version = digits(new_version())
    call('SET', key, version)
  end
  local changed = keep(key, keep_ms)
  local members = members_key(prefix, tag)
  call('PFADD', members)
  keep(members, keep_ms)
  return version, changed
end
