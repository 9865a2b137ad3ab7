-- Keeps the record of a scheduler's last run.
--
-- @key scheduler  hash of it
-- @arg run        the time that it was made for
-- @arg record     JSON with that time as `scheduledFor`
-- @ret 1, or 0 when the scheduler is gone or a later run has left a record

if call('EXISTS', scheduler) == 0 then
  return 0
end
local known, last = pcall(cjson.decode, call('HGET', scheduler, 'lastRun') or '')
if known and type(last) == 'table' and (tonumber(last.scheduledFor) or 0) > tonumber(run) then
  return 0
end
call('HSET', scheduler, 'lastRun', record)
return 1
