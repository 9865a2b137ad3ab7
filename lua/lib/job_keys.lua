-- The keys that belong to one job.

local job_suffixes = { ':logs', ':dependencies', ':processed', ':failed', ':unsuccessful', ':lock' }

-- `keys` are those of the hashes.
local function delete_jobs(keys)
  local names = {}
  for index, key in ipairs(keys) do
    names[#names + 1] = key
    for _, suffix in ipairs(job_suffixes) do
      names[#names + 1] = key .. suffix
    end
    -- unpack has its limits.
    if #names > 1000 or index == #keys then
      -- What is large is freed by another thread of the server.
      call('UNLINK', unpack(names))
      names = {}
    end
  end
end

local function delete_job(key)
  delete_jobs({ key })
end
