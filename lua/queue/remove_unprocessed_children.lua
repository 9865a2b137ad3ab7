-- Removes the children of a job that have not begun: those that have finished or that a worker holds stay. One page of
-- them a call.
--
-- @key job
-- @key <child>       hashes and further keys of its children, in any queue of the slot
-- @arg now
-- @arg cursor        '0' begins; what the call before gave goes on
-- @ret the next cursor, '0' at the end
-- @use lib/children, lib/event

local page = call('SSCAN', job .. ':dependencies', cursor, 'COUNT', 500)
table.sort(page[2])
for _, child in ipairs(page[2]) do
  remove_unprocessed(child, tonumber(now), {})
end
return page[1]
