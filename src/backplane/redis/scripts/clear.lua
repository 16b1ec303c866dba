-- Drops all messages of a room. It gets a new epoch, in which its offsets go on.
--
-- KEYS  1 meta; 2 log
-- ARGV  1 the new epoch (8 ASCII characters); 2 lineage of the partition (8 ASCII characters, or empty)
-- Returns the new epoch and the offset as text; '' and '0' for a room without numbering, which stays without.
--
-- publish.lua describes the format of meta. The log is dropped first: Redis checks its memory limit only before the first write of
-- a call, and a full one must let histories go.
local call = redis.call
local meta = call('GET', KEYS[1])
if not meta or meta == '' then return { '', '0' } end
local offset = struct.unpack('>I8', meta, 17)
call('DEL', KEYS[2])
call('SETRANGE', KEYS[1], 0, ARGV[1])
-- Long ago: the next message prolongs lives, or the log that begins with it would have none.
if offset > 0 then call('SETRANGE', KEYS[1], 8, struct.pack('>I8', 1)) end
if ARGV[2] ~= '' then call('SETRANGE', KEYS[1], 24, ARGV[2]) end
return { ARGV[1], string.format('%d', offset) }
