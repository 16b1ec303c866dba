-- Reads the newest message of each conflation id in a room without history.
--
-- KEYS  1 newest (see publish.lua)
-- ARGV  1 for how many ms a message is kept
-- Returns the room's mark as text, then for each message one string: its id (8 bytes), u64 mark, u64 age in ms, frame. In no order.
local unpack, sub = struct.unpack, string.sub
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local all, reply = redis.call('HGETALL', KEYS[1]), { '0' }
for i = 1, #all, 2 do
  local id, value = all[i], all[i + 1]
  if id == '#' then
    reply[1] = value
  else
    local mark, born = unpack('>I8I8', value)
    local age = math.max(0, now - born)
    if age < tonumber(ARGV[1]) then reply[#reply + 1] = id .. struct.pack('>I8I8', mark, age) .. sub(value, 17) end
  end
end
return reply
