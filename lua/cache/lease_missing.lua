-- Takes leases on the entries that are missing, in the same round trip that reads the others.
--
-- @key  lease_prefix  what the keys of leases begin with
-- @key  entry_prefix  what the keys of entries begin with
-- @key  <lease_prefix><key>   token
-- @key  <entry_prefix><key>
-- @arg  token
-- @arg  lease_ms
-- @arg  ...keys       at least one, without prefix
-- @ret  for each key the token of its lease, empty where there is an entry

local tokens = {}
for index = keys_offset + 1, #keys do
  local lease = lease_prefix .. keys[index]
  if call('EXISTS', entry_prefix .. keys[index]) == 1 then
    tokens[#tokens + 1] = ''
  elseif call('SET', lease, token, 'NX', 'PX', lease_ms) then
    tokens[#tokens + 1] = token
  else
    tokens[#tokens + 1] = call('GET', lease)
  end
end
return tokens
