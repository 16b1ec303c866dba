-- Drops all messages of a room. It gets a new epoch, in which its offsets go on.
--
-- KEYS  1 meta; 2 log
-- ARGV  1 the new epoch (8 ASCII characters); 2 lineage of this Redis (8 ASCII characters, or empty)
-- Returns the new epoch and the offset as text; '' and '0' for a room without numbering, which stays without.
--
-- publish.lua describes the format of meta.
local meta = redis.call('GET', KEYS[1])
if not meta or meta == '' then return { '', '0' } end
redis.call('SETRANGE', KEYS[1], 0, ARGV[1])
if ARGV[2] ~= '' then redis.call('SETRANGE', KEYS[1], 24, ARGV[2]) end
redis.call('DEL', KEYS[2])
return { ARGV[1], string.format('%d', struct.unpack('>I8', meta, 17)) }
