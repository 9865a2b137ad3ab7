-- Takes over messages of a group that were handed over and not acknowledged: those named, which this consumer has and
-- tries again, or else those that have rested, because their consumer is gone. One that was handed over too often is
-- moved to the dead ones; one that the stream no longer has is given up.
-- Messages that newer ones pushed out before the group saw them are counted too, each once, where the server counts what a
-- group has read (Redis 7).
-- Consumers that are gone and hold nothing are forgotten once nothing is left to take over.
--
-- @key stream
-- @key dead            stream of the dead messages of the group
-- @arg group
-- @arg consumer
-- @arg rest_ms         how long a message has not been handed over or kept
-- @arg limit           messages to look at
-- @arg max_deliveries
-- @arg max_dead        dead messages that are kept, about
-- @arg gone_ms         consumers that were silent for longer are gone
-- @arg ...ids          messages of this consumer
-- @ret { messages taken: id, times handed over, message, of each; dead ones: id, times, of each; how many are given up }

local taken, dead_ones, given_up = {}, {}, 0

-- Another publisher may have chosen another name for it.
local function message_of(fields)
  for index = 1, #fields, 2 do
    if fields[index] == 'message' then
      return fields[index + 1]
    end
  end
  return fields[2]
end

local function judge(row, rest)
  local id, deliveries = row[1], tonumber(row[4])
  local entry = call('XRANGE', stream, id, id)[1]
  if not entry then
    given_up = given_up + call('XACK', stream, group, id)
    return
  end
  local message = message_of(entry[2])
  if deliveries >= tonumber(max_deliveries) then
    call('XADD', dead, 'MAXLEN', '~', max_dead, '*', 'message', message, 'id', id, 'deliveries', deliveries)
    call('XACK', stream, group, id)
    dead_ones[#dead_ones + 1] = id
    dead_ones[#dead_ones + 1] = deliveries
    return
  end
  if #call('XCLAIM', stream, group, consumer, rest, id) > 0 then
    taken[#taken + 1] = id
    taken[#taken + 1] = deliveries + 1
    taken[#taken + 1] = message
  end
end

if #ids > ids_offset then
  for index = ids_offset + 1, #ids do
    local id = ids[index]
    local row = call('XPENDING', stream, group, id, id, 1)[1]
    if row and row[2] == consumer then
      judge(row, 0)
    end
  end
  return { taken, dead_ones, given_up }
end

local function pairs_of(flat)
  local fields = {}
  for index = 1, #flat, 2 do
    fields[flat[index]] = flat[index + 1]
  end
  return fields
end

-- A group counts what it is handed. Once it is past the newest message, or still before the oldest, what it did not count
-- was never there for it.
for _, info in ipairs(call('XINFO', 'GROUPS', stream)) do
  local reader = pairs_of(info)
  local read = reader['entries-read']
  if reader.name == group and read then
    local all = pairs_of(call('XINFO', 'STREAM', stream))
    local passed = all['entries-added'] - all.length
    if reader['last-delivered-id'] == all['last-generated-id'] then
      passed = all['entries-added']
    end
    if passed > read then
      given_up = given_up + passed - read
      call('XGROUP', 'SETID', stream, group, reader['last-delivered-id'], 'ENTRIESREAD', passed)
    end
  end
end

local rows = call('XPENDING', stream, group, 'IDLE', rest_ms, '-', '+', limit)
for _, row in ipairs(rows) do
  judge(row, rest_ms)
end
if #rows == 0 then
  for _, info in ipairs(call('XINFO', 'CONSUMERS', stream, group)) do
    local fields = pairs_of(info)
    if fields.name ~= consumer and fields.pending == 0 and fields.idle > tonumber(gone_ms) then
      call('XGROUP', 'DELCONSUMER', stream, group, fields.name)
    end
  end
end
return { taken, dead_ones, given_up }
