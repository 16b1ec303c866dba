-- Reads who is in a room as one atomic view.
--
-- KEYS  1 entries; 2 users
-- ARGV  1 maximum number of entries
-- Returns the number of entries, the number of distinct users, then connection and entry (see presence.lua) alternately.
local call, limit = redis.call, tonumber(ARGV[1])
local count = call('HLEN', KEYS[1])
local reply = { count, call('HLEN', KEYS[2]) }
-- The same entries come first each time, as long as the room does not change. A scan may return more than requested,
-- and an entry twice while Redis resizes the hash.
local cursor, seen, found = '0', {}, 0
while found < limit and count > 0 do
  local page = call('HSCAN', KEYS[1], cursor, 'COUNT', math.min(limit - found, 1000))
  cursor = page[1]
  local fields = page[2]
  for i = 1, #fields, 2 do
    if found < limit and not seen[fields[i]] then
      seen[fields[i]], found = true, found + 1
      reply[#reply + 1], reply[#reply + 2] = fields[i], fields[i + 1]
    end
  end
  if cursor == '0' then break end
end
return reply
