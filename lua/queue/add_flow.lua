-- Adds trees of jobs, whose parents wait for their children, to any queues of one hash slot. A parent stands before its
-- children. Nothing is written before every job is known to be allowed.
--
-- @key prefix        of every key of the first job's queue; those of the other queues are declared behind it
-- @key <prefix>*     keys of each queue, and of the parents' queues
-- @arg now
-- @arg alone         1: a job that is refused stops no other; 0: nothing is added then
-- @arg ...nodes      19 a job: 1 when its parent is not among these jobs, prefix, own id or '', name, data, opts as JSON,
--                    timestamp, delay, priority, 1 for last-in-first-out, 1 when it has children here, then of its
--                    parent the prefix, id and what the child stores of it ('' without one), deduplication id or '',
--                    its time in milliseconds or 0, its rules, group or '', largest number of waiting jobs in it or ''
-- @ret an id for each job, or with `alone` the error that refused it
-- @err PARENTNOTFOUND HASPARENT GROUPFULL INCOMPATIBLEDATA
-- @use lib/add_node, lib/event, lib/marker, lib/old_pause, lib/parent, lib/queue_keys

now = tonumber(now)
local claimed, refused, closed = {}, {}, {}
for at = nodes_offset, #nodes - NODE_ITEMS, NODE_ITEMS do
  local name = nodes[at + NODE.prefix]
  if closed[name] == nil then
    closed[name] = paused_by_old_version(name .. 'meta', name .. 'paused') or false
  end
  local refusal = closed[name] or refuse_node(nodes, at, claimed)
  if refusal and alone == '0' then
    return refusal
  end
  refused[at] = refusal
end

local queues, parents, ids = {}, {}, {}
local in_order, seen = {}, {}
for at = nodes_offset, #nodes - NODE_ITEMS, NODE_ITEMS do
  local name = nodes[at + NODE.prefix]
  local q = queues[name]
  if not q then
    q = queue_keys(name)
    queues[name] = q
    in_order[#in_order + 1] = q
  end
  if refused[at] then
    ids[#ids + 1] = refused[at]
  else
    ids[#ids + 1] = add_node(q, nodes, at, now)
    if nodes[at + NODE.parent] ~= '' then
      local parent_key = nodes[at + NODE.parent_prefix] .. nodes[at + NODE.parent_id]
      if not seen[parent_key] then
        seen[parent_key] = true
        parents[#parents + 1] = at
      end
    end
  end
end

-- All children of a parent may have completed long ago.
for _, at in ipairs(parents) do
  release_parent_if_alone(nodes[at + NODE.parent_prefix], nodes[at + NODE.parent_id], now)
end
for _, q in ipairs(in_order) do
  if q.has_work then
    mark_unless_held(q.marker, q.meta, q.active)
  end
  if q.has_delayed then
    mark_delayed(q.marker, q.delayed)
  end
  trim_events(q.events, q.meta)
end
return ids
