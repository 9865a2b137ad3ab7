-- Whether a job is the pending one of a job scheduler, which must not vanish behind the scheduler's back.

local function is_pending_of_scheduler(repeat_key, id)
  if string.sub(id, 1, 7) ~= 'repeat:' then
    return false
  end
  local scheduler, time = string.match(id, '^repeat:(.+):(%d+)$')
  if not scheduler then
    return false
  end
  local next_time = call('ZSCORE', repeat_key, scheduler)
  return next_time and tonumber(next_time) == tonumber(time)
end
