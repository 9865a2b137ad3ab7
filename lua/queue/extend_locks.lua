-- Renews the locks of running jobs.
--
-- @key stalled
-- @key prefix
-- @key <id>:lock
-- @arg lock_ms
-- @arg ...jobs     id and token of each job
-- @ret ids whose lock is no longer ours

local lost, held = {}, {}
for at = jobs_offset + 1, #jobs, 2 do
  local key = prefix .. jobs[at] .. ':lock'
  if call('GET', key) == jobs[at + 1] then
    call('SET', key, jobs[at + 1], 'PX', lock_ms)
    held[#held + 1] = jobs[at]
  else
    lost[#lost + 1] = jobs[at]
  end
end
if #held > 0 then
  call('SREM', stalled, unpack(held))
end
return lost
