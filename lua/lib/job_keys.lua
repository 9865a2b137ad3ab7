-- The keys that belong to one job.

local function delete_job(key)
  return call('DEL', key, key .. ':logs', key .. ':dependencies', key .. ':processed', key .. ':failed',
    key .. ':unsuccessful', key .. ':lock')
end
