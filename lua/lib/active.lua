-- The list of active jobs: new ones enter at its head, so that those which finish stand near its tail.

-- Takes jobs out. Gives the set of those that were in it.
local function leave_active(active, ids)
  local left = {}
  if #ids < 4 then
    for _, id in ipairs(ids) do
      left[id] = call('LREM', active, '-1', id) == 1 or left[id]
    end
    return left
  end
  -- LREM looks through the list for each; one look at its tail finds many, and mostly they are all of it: jobs end in
  -- the order in which they began.
  local wanted, missing = {}, #ids
  for _, id in ipairs(ids) do
    wanted[id] = true
  end
  local tail, staying = call('LRANGE', active, -#ids, -1), {}
  for _, id in ipairs(tail) do
    if not wanted[id] then
      tail = call('LRANGE', active, -2 * #ids, -1)
      break
    end
  end
  for _, id in ipairs(tail) do
    if wanted[id] and not left[id] then
      left[id] = true
      missing = missing - 1
    else
      staying[#staying + 1] = id
    end
  end
  if #staying < #tail then
    call('LTRIM', active, 0, -#tail - 1)
    if #staying > 0 then
      call('RPUSH', active, unpack(staying))
    end
  end
  if missing > 0 then
    for _, id in ipairs(ids) do
      if not left[id] then
        left[id] = call('LREM', active, '-1', id) == 1
      end
    end
  end
  return left
end
