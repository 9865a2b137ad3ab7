-- Versions before 6 move the waiting jobs of a paused queue to a list of their own, and back over whatever waits by then.

-- An error where such a version has paused the queue, else nil.
local function paused_by_old_version(meta, paused)
  if call('HEXISTS', meta, 'paused') == 1 and call('EXISTS', paused) == 1 then
    return redis.error_reply('INCOMPATIBLEDATA the queue was paused by BullMQ 5 or older, whose resume would lose' ..
      ' jobs that come to wait now: resume it there, or stop every such process and call resume() here')
  end
end
