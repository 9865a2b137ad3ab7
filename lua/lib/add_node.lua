-- Adds one job of a flow: it may wait for children, and its parent may wait for it.
--
-- @use lib/deduplication, lib/event, lib/groups, lib/place, lib/queue_keys

-- Items of one job in the list that a caller hands over.
local NODE = {
  outside = 1, prefix = 2, id = 3, name = 4, data = 5, opts = 6, timestamp = 7, delay = 8, priority = 9, lifo = 10,
  has_children = 11, parent_prefix = 12, parent_id = 13, parent = 14, dedup_id = 15, dedup_ttl = 16, dedup_rules = 17,
  group = 18, group_max = 19,
}
local NODE_ITEMS = 19

-- Why a job finds no place in its group, or nil. `claimed` counts those that this call adds to it.
local function refuse_in_group(nodes, at, claimed)
  local jobs, most = group_jobs(nodes[at + NODE.prefix], nodes[at + NODE.group]), nodes[at + NODE.group_max]
  local added = claimed[jobs] or 0
  if most ~= '' and call('ZCARD', jobs) + added >= tonumber(most) then
    return redis.error_reply('GROUPFULL group ' .. nodes[at + NODE.group] .. ' has its most waiting jobs, ' .. most)
  end
  local waits = nodes[at + NODE.has_children] ~= '1' and nodes[at + NODE.delay] == '0'
  claimed[jobs] = added + (waits and 1 or 0)
end

-- Why a job cannot be added, or nil. Nothing is written. `claimed` has the parents that this call gives to ids.
local function refuse_node(nodes, at, claimed)
  local id = nodes[at + NODE.id]
  local is_new = id == '' or call('EXISTS', nodes[at + NODE.prefix] .. id) == 0
  local parent_key = ''
  if nodes[at + NODE.parent_prefix] ~= '' then
    parent_key = nodes[at + NODE.parent_prefix] .. nodes[at + NODE.parent_id]
  end
  if nodes[at + NODE.outside] == '1' and call('EXISTS', parent_key) == 0 then
    return redis.error_reply('PARENTNOTFOUND parent ' .. parent_key .. ' of job ' .. nodes[at + NODE.name]
      .. ' does not exist')
  end
  local full = is_new and nodes[at + NODE.group] ~= '' and refuse_in_group(nodes, at, claimed)
  if full then
    return full
  end
  if id == '' then
    return nil
  end
  local key = nodes[at + NODE.prefix] .. id
  local other = claimed[key]
  if other == nil and parent_key ~= '' then
    local stored = call('HGET', key, 'parentKey')
    other = stored and call('EXISTS', stored) == 1 and stored or nil
  end
  if other ~= nil and other ~= parent_key then
    return redis.error_reply('HASPARENT job ' .. key .. ' cannot have the parent `' .. parent_key .. '`: it has `'
      .. other .. '`')
  end
  claimed[key] = parent_key
  return nil
end

-- A job that is there already becomes a child; what it has completed before counts.
local function adopt(q, id, key, parent_key, parent)
  if call('ZSCORE', q.completed, id) then
    call('HSET', parent_key .. ':processed', key, call('HGET', key, 'returnvalue') or 'null')
  else
    call('SADD', parent_key .. ':dependencies', key)
  end
  call('HSET', key, 'parentKey', parent_key, 'parent', parent)
end

-- `q` is the job's queue; it notes in `q.has_work` and `q.has_delayed` whom to wake. Gives the job's id.
local function add_node(q, nodes, at, now)
  local group = nodes[at + NODE.group]
  q.grouped = group ~= ''
  local number = call('INCR', q.counter)
  local id, name, parent = nodes[at + NODE.id], nodes[at + NODE.name], nodes[at + NODE.parent]
  local parent_key = parent ~= '' and nodes[at + NODE.parent_prefix] .. nodes[at + NODE.parent_id]
  if id == '' then
    id = string.format('%.0f', number)
  elseif call('EXISTS', q.prefix .. id) == 1 then
    if parent_key then
      adopt(q, id, q.prefix .. id, parent_key, parent)
    end
    emit(q.events, 'duplicated', 'jobId', id)
    return id
  end
  local key = q.prefix .. id
  local timestamp, delay = nodes[at + NODE.timestamp], nodes[at + NODE.delay]
  local fields = { 'name', name, 'data', nodes[at + NODE.data], 'opts', nodes[at + NODE.opts], 'timestamp', timestamp,
    'delay', delay, 'priority', nodes[at + NODE.priority] }
  local dedup_id = nodes[at + NODE.dedup_id]
  if dedup_id ~= '' then
    local job = { id = id, name = name, data = fields[4], opts = fields[6], delay = tonumber(delay) }
    local among = q
    if q.grouped then
      -- Deduplication replaces and reschedules among the delayed jobs of groups.
      among = queue_keys(q.prefix)
      among.delayed = q.prefix .. 'groups:delayed'
    end
    local owner = deduplicate(among, dedup_id, tonumber(nodes[at + NODE.dedup_ttl]), nodes[at + NODE.dedup_rules], job, now)
    if owner then
      return owner
    end
    fields[#fields + 1] = 'deid'
    fields[#fields + 1] = dedup_id
  end
  if parent_key then
    call('SADD', parent_key .. ':dependencies', key)
    fields[#fields + 1] = 'parentKey'
    fields[#fields + 1] = parent_key
    fields[#fields + 1] = 'parent'
    fields[#fields + 1] = parent
  end
  if q.grouped then
    fields[#fields + 1] = 'gid'
    fields[#fields + 1] = group
    if not q.knows_groups then
      q.knows_groups = true
      call('HSET', q.meta, 'groups', '1')
    end
  end
  call('HSET', key, unpack(fields))
  emit(q.events, 'added', 'jobId', id, 'name', name)
  if nodes[at + NODE.has_children] == '1' then
    call('ZADD', q.waiting_children, timestamp, id)
    emit(q.events, 'waiting-children', 'jobId', id)
  elseif delay ~= '0' then
    place_delayed(q, id, tonumber(timestamp) + tonumber(delay))
    q.has_delayed = true
  else
    place_waiting(q, id, tonumber(nodes[at + NODE.priority]), nodes[at + NODE.lifo] == '1', nil)
    q.has_work = true
  end
  return id
end
