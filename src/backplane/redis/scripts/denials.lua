-- Reads all denials that have not ended, and what was lifted.
--
-- KEYS  1 the denials, as deny.lua describes them
-- Returns each entry with its mark and the ms until it ends, alternately.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local reply = redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%d', now), '+inf', 'WITHSCORES')
for i = 2, #reply, 2 do reply[i] = string.format('%d', reply[i] - now) end
return reply
