-- Counts finished jobs by the minute.

local function count_finished(key, finished, max_points, now)
  local count = call('HINCRBY', key, 'count', finished) - finished
  local before = call('HMGET', key, 'prevTS', 'prevCount')
  if not before[1] then
    call('HSET', key, 'prevTS', now, 'prevCount', 0)
    return
  end
  local minutes = math.min(math.floor(now / 60000) - math.floor(tonumber(before[1]) / 60000), max_points)
  if minutes > 0 then
    local points = { count - tonumber(before[2] or 0) }
    for minute = 2, math.min(minutes, 4000) do
      points[minute] = 0
    end
    call('LPUSH', key .. ':data', unpack(points))
    call('LTRIM', key .. ':data', 0, max_points - 1)
    call('HSET', key, 'prevTS', now, 'prevCount', count)
  end
end
