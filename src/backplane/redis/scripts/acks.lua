-- Lists the users of a room who have read up to an offset or further.
--
-- KEYS  1 meta; 2 acks of the epoch
-- ARGV  1 epoch (8 ASCII characters); 2 offset, or '' for that of the room's newest message; 3 how many to list;
--       4 lineage of the partition (8 ASCII characters, or empty)
-- Returns offset of the room's newest message (-1, and nothing else, if that epoch is not the current one); the number of such
--       users; then user and offset as text of the listed ones, highest first.
--
-- The format of acks is described in ack.lua, that of meta in publish.lua.
local call = redis.call
local meta = call('GET', KEYS[1])
if not meta then return { -1 } end
local epoch, _, newest = struct.unpack('>c8I8I8', meta)
if epoch ~= ARGV[1] then return { -1 } end
local lineage, ancestry = ARGV[4], string.sub(meta, 25)
if lineage ~= '' and ancestry ~= lineage then
  -- As in publish.lua.
  local record = call('GET', string.match(KEYS[1], '^[^}]*}:') .. 'lineage')
  local present = record and string.sub(record, 81) or ''
  if present ~= '' and ancestry ~= present and ancestry ~= string.sub(record, 1, 8) then return { -1 } end
end
local from = ARGV[2] == '' and string.format('%d', newest) or ARGV[2]
local reply = { newest, call('ZCOUNT', KEYS[2], from, '+inf') }
local listed = call('ZREVRANGEBYSCORE', KEYS[2], '+inf', from, 'WITHSCORES', 'LIMIT', 0, ARGV[3])
for i = 1, #listed do reply[i + 2] = listed[i] end
return reply
