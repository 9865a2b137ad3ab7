-- Gives what the workers of a queue say of themselves, and strikes those off the list that have fallen silent.
--
-- @key workers        set of worker ids
-- @key <workers>:<id> what each says of itself
-- @ret descriptions, by id

local ids = call('SMEMBERS', workers)
table.sort(ids)
local found, silent = {}, {}
for at = 1, #ids, 500 do
  local last = math.min(at + 499, #ids)
  local entries = {}
  for index = at, last do
    entries[#entries + 1] = workers .. ':' .. ids[index]
  end
  for offset, description in ipairs(call('MGET', unpack(entries))) do
    if description then
      found[#found + 1] = description
    else
      silent[#silent + 1] = ids[at + offset - 1]
    end
  end
end
for at = 1, #silent, 500 do
  call('SREM', workers, unpack(silent, at, math.min(at + 499, #silent)))
end
return found
