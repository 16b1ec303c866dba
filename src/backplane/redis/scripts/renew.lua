-- Gives a room a new epoch because Redis lost messages that a node has seen: the old epoch would give their
-- offsets to other messages. What survived is kept, with its offsets; the envelopes in the log keep the old epoch.
--
-- KEYS  1 meta
-- ARGV  1 epoch, and 2 an offset given out in it, that the node has seen; 3 the new epoch (8 ASCII characters);
--       4 lineage of the partition (8 ASCII characters, or empty): else the room's next use would begin another epoch
-- Returns 1 if it did, 0 if the room has moved on: another epoch, or an offset of at least that.
--
-- publish.lua describes the format of meta.
local meta = redis.call('GET', KEYS[1])
if not meta then return 0 end
local epoch, _, offset = struct.unpack('>c8I8I8', meta)
if epoch ~= ARGV[1] or offset >= tonumber(ARGV[2]) then return 0 end
redis.call('SETRANGE', KEYS[1], 0, ARGV[3])
if ARGV[4] ~= '' then redis.call('SETRANGE', KEYS[1], 24, ARGV[4]) end
return 1
