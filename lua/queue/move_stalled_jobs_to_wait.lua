-- Puts back the jobs of dead workers: those that were active at the last pass and have no lock now. Then notes which
-- jobs are active, for the next pass. A pass takes several calls when there are many; each does bounded work.
--
-- @key stalled
-- @key stalled_check  exists while no further pass is due
-- @key active
-- @key wait
-- @key meta
-- @key marker
-- @key events
-- @key prefix
-- @key <id>           hash of each job, and its lock
-- @arg interval_ms    between two passes
-- @arg max_stalled    a job that stalled more often fails when it is taken
-- @arg cursor         '' starts a pass; what the call before gave goes on with it
-- @arg slice          jobs a call
-- @ret { cursor or '' when the pass is over, ids put back }
-- @err INCOMPATIBLEDATA
-- @use lib/event, lib/groups, lib/marker, lib/old_pause

local refusal = paused_by_old_version(meta, prefix .. 'paused')
if refusal then
  return refusal
end
slice = tonumber(slice)
if cursor == '' then
  if not call('SET', stalled_check, '1', 'PX', interval_ms, 'NX') then
    return { '', {} }
  end
  trim_events(events, meta)
  if call('HEXISTS', meta, 'groups') == 1 then
    -- A stock worker that found a job stalled, or finished it, knows of no group: its group would stay narrower for ever.
    for _, id in ipairs(call('HRANDFIELD', prefix .. 'groups:running', 100)) do
      if call('EXISTS', prefix .. id .. ':lock') == 0 and not call('LPOS', active, id) then
        release_group(prefix, id)
      end
    end
  end
  cursor = 'look'
end

local function note(from)
  local ids = call('LRANGE', active, from, from + slice - 1)
  if #ids > 0 then
    call('SADD', stalled, unpack(ids))
  end
  return #ids == slice and 'note' .. (from + slice) or ''
end

if cursor ~= 'look' then
  return { note(tonumber(string.sub(cursor, 5))), {} }
end

local q = { prefix = prefix, events = events }
local put_back = {}
local suspects = call('SPOP', stalled, slice)
for _, id in ipairs(suspects) do
  local key = prefix .. id
  if call('EXISTS', key .. ':lock') == 0 and call('LREM', active, 1, id) == 1 then
    local job = call('HMGET', key, 'timestamp', 'rjk', 'gid', 'priority')
    if job[1] then
      local times = call('HINCRBY', key, 'stc', 1)
      if times > tonumber(max_stalled) and not job[2] then
        call('HSET', key, 'defa', 'job stalled more than allowable limit')
      end
      if job[3] then
        release_group(prefix, id)
        place_in_group(q, job[3], id, tonumber(job[4]) or 0, true, 'active')
      else
        call('RPUSH', wait, id)
        emit(events, 'waiting', 'jobId', id, 'prev', 'active')
      end
      emit(events, 'stalled', 'jobId', id)
      put_back[#put_back + 1] = id
    end
  end
end
if #put_back > 0 then
  mark_unless_held(marker, meta, active)
end
return { #suspects == slice and 'look' or (note(0)), put_back }
