-- Stores how far users have read: the higher of each entry's offset and the user's stored one. One call carries the entries
-- of many rooms. Each is a separate, repeatable step: an error in one is returned for that one and leaves the others alone.
--
-- KEYS  for each entry: meta; acks of the entry's epoch
-- ARGV  1 life of the acks of a room, in ms, from its last ack on; 2 life of unused meta, in ms;
--       then for each entry: epoch (8 ASCII characters); user; offset (0: store nothing, only read; -1: store that of
--       the newest message, unless one is stored); lineage of the partition (8 ASCII characters, or empty)
-- Returns for each entry: offset of the room's newest message, or -1 if that epoch is not the current one, or ends with the
--       room's next use since its lineage ended;
--       stored offset, -1 if none; 1 if this entry changed it, else 0. An offset beyond the newest message is not stored.
--       For an entry that failed: -2, the error message, 0.
--
-- acks is a sorted set: user by offset. The format of meta is described in publish.lua.
local call = redis.call
local life, meta_life = ARGV[1], tonumber(ARGV[2])

-- A room without messages in which a user has a start counts as used, like one with messages: each use renews its numbering.
-- The mark tells later readers of the room; see publish.lua.
local function outlive(meta, fresh)
  if fresh == 0 then call('SETRANGE', meta, 8, struct.pack('>I8', 1)) end
  if call('PTTL', meta) < meta_life then call('PEXPIRE', meta, string.format('%d', meta_life * 1.1)) end
end

-- As in publish.lua.
local function next_lineage(meta, ancestry)
  local record = call('GET', string.match(meta, '^[^}]*}:') .. 'lineage')
  local present = record and string.sub(record, 81) or ''
  if present == '' or ancestry == present or ancestry == string.sub(record, 1, 8) then return nil end
  return present
end

local function keep(meta, acks, epoch, user, offset, lineage)
  local stored = call('GET', meta)
  if not stored then return -1, -1, 0 end
  local present, fresh, newest = struct.unpack('>c8I8I8', stored)
  if present ~= epoch then return -1, -1, 0 end
  local ancestry = string.sub(stored, 25)
  if lineage ~= '' and ancestry ~= lineage and next_lineage(meta, ancestry) then return -1, -1, 0 end
  local changed = 0
  if tonumber(offset) > 0 and tonumber(offset) <= newest then
    changed = call('ZADD', acks, 'GT', 'CH', offset, user)
    call('PEXPIRE', acks, life)
  elseif tonumber(offset) == -1 then
    changed = call('ZADD', acks, 'NX', string.format('%d', newest), user)
    if changed == 1 then call('PEXPIRE', acks, life) end
    if newest == 0 then outlive(meta, fresh) end
  end
  return newest, tonumber(call('ZSCORE', acks, user) or -1), changed
end

local reply, n = {}, 0
for i = 0, #KEYS / 2 - 1 do
  local k, a = i * 2, i * 4 + 2
  local fine, newest, kept, raised = pcall(keep, KEYS[k + 1], KEYS[k + 2], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4])
  if not fine then newest, kept, raised = -2, type(newest) == 'table' and newest.err or tostring(newest), 0 end
  reply[n + 1], reply[n + 2], reply[n + 3] = newest, kept, raised
  n = n + 3
end
return reply
