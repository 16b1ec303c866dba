-- Reads who is in a room as one atomic view: a page of the entries, in the order of their connections.
--
-- KEYS  1 entries; 2 users; 3 order
-- ARGV  1 maximum number of entries; 2 the connection after which the page starts, '' for the first page
-- Returns the number of entries, the number of distinct users, 1 if more entries follow the page and else 0, then
--         connection and entry (see presence.lua) alternately.
local call, limit = redis.call, tonumber(ARGV[1])
local from = ARGV[2] == '' and '-' or '(' .. ARGV[2]
local found = call('ZRANGEBYLEX', KEYS[3], from, '+', 'LIMIT', 0, limit + 1)
local reply = { call('HLEN', KEYS[1]), call('HLEN', KEYS[2]), #found > limit and 1 or 0 }
-- Lua passes at most about 8,000 arguments.
for at = 1, math.min(#found, limit), 1000 do
  local entries = call('HMGET', KEYS[1], unpack(found, at, math.min(at + 999, #found, limit)))
  for i = 1, #entries do
    if entries[i] then reply[#reply + 1], reply[#reply + 2] = found[at + i - 1], entries[i] end
  end
end
return reply
