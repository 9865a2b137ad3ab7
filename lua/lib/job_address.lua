-- From the full key of a job to the prefix of its queue and its id, either of which may have colons of its own.

-- Every queue that was ever written to has a hash `meta`, which tells where the prefix ends.
local function split_job_key(key)
  local last
  local at = #key
  while at > 0 do
    if string.byte(key, at) == 58 then
      local prefix = string.sub(key, 1, at)
      if call('EXISTS', prefix .. 'meta') == 1 then
        return prefix, string.sub(key, at + 1)
      end
      last = last or at
    end
    at = at - 1
  end
  if last then
    return string.sub(key, 1, last), string.sub(key, last + 1)
  end
end

-- What a child's hash says of its parent: the JSON of `parent`, or only the key where a writer stored no more. Gives the
-- prefix of the parent's queue, its id and the flags, or nil.
local function parent_of(json, key)
  if json then
    local decoded, parent = pcall(cjson.decode, json)
    if decoded and type(parent) == 'table' and type(parent.queueKey) == 'string' and parent.id then
      return parent.queueKey .. ':', tostring(parent.id), parent
    end
  end
  if key then
    local prefix, id = split_job_key(key)
    return prefix, id, {}
  end
end
