-- Removes some of a dead node's entries from one room and announces that they left. Call it until the cursor is 0:
-- a room may be too large for one call.
--
-- KEYS  1 entries; 2 users; 3 order; 4 channel
-- ARGV  1 prefix of the node's connections; 2 the claimed term; 3 '1' to announce, else '0'; 4 cursor,
--       first 0; 5 about how many entries to look at
-- Returns the next cursor, and how many entries were removed.
--
-- presence.lua describes the formats of entries and events.
local call, sub = redis.call, string.sub
local prefix, term = ARGV[1], tonumber(ARGV[2])

local function count_out(who)
  local _, user = cmsgpack.unpack_limit(who, 1, 1)
  if user and call('HINCRBY', KEYS[2], user, -1) <= 0 then call('HDEL', KEYS[2], user) end
end

local page = call('HSCAN', KEYS[1], ARGV[4], 'COUNT', ARGV[5])
local fields, removed = page[2], 0
local count, event = call('HLEN', KEYS[1]), { '\2' }
for i = 1, #fields, 2 do
  local connection, entry = fields[i], fields[i + 1]
  local is_theirs = sub(connection, 1, #prefix) == prefix and struct.unpack('>I4', entry) <= term
  -- A scan may return an entry twice.
  if is_theirs and call('HDEL', KEYS[1], connection) == 1 then
    local who = sub(entry, 5)
    removed = removed + 1
    call('ZREM', KEYS[3], connection)
    count_out(who)
    event[removed + 1] = '\194' .. cmsgpack.pack(connection) .. who .. struct.pack('>BI4', 0xce, count - removed)
  end
end
-- They are gone even if that cannot be announced: after an error the caller would repeat the call, with nothing left to remove.
if removed > 0 and ARGV[3] == '1' then pcall(call, 'PUBLISH', KEYS[4], table.concat(event)) end
return { page[1], removed }
