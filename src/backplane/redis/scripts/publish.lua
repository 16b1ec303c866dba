-- Commits batches of messages: gives each message its offset, stores it, publishes it. One call carries many rooms.
-- Each batch is a separate atomic step: an error in one is returned for that one and leaves the others alone.
--
-- KEYS  for each batch: meta, log; newest, only if nothing is kept and frames have conflation ids; then the dedup key of each keyed
--       frame, in the order of the frames. The channel is named like the log, which saves an argument for every room.
-- ARGV  1 epoch for rooms that need one (8 ASCII characters); 2 life of unused meta in ms; 3 dedup window in ms;
--       4 lineage of the partitions (8 ASCII characters, or empty; see lineage.lua); then for each batch its draft, an envelope
--       without its trailer (see envelope.ts), and, only if it has keyed frames, their indexes (u16 each, from 0).
--       Bytes 4..13 of a draft are options: u32 how much to keep (lower 17 bits: messages, 0 in a room without history; upper 15: 64
--       KiB, 0 for no limit in bytes, or with 0 messages what says nothing here), u32 for how many ms, u16 number of keyed frames.
-- Returns one string, for each batch:
--       u8 0, epoch (8 bytes), u64 offset of its first new message, u16 number of duplicates, for each of these
--             u16 index, epoch (8 bytes), u64 offset (0 in rooms without history, where epochs mean nothing)
--       u8 1, u16 length, error message: nothing of this batch was stored or sent, and none of its keys is stored.
--       u8 2, u16 length, error message: the batch and its keys are stored, but it may not have been sent.
--
-- Redis checks its memory limit only before the first write of a call, and only if that write can need memory. So a batch starts
-- with SET or SETRANGE, never with DEL: a full Redis refuses the whole call. The numbering is written before the log, because it
-- can be restored when XADD fails; a log entry cannot be undone, since others may have been trimmed for it.
--
-- meta is one string: epoch (8 bytes), u64 time when the lives of meta and log were last prolonged (in a room that never had a
-- message: 0, or 1 if a user has a start), u64 offset, lineage (8 bytes or none). A room of another lineage was numbered before a
-- promotion that may have lost its newest messages: it gets a new epoch. Neither a hash nor text: GET, unpack and SETRANGE cost 2 us a room less than HMGET, tonumber and HSET.
-- Prolonging lives only when a tenth has passed saves two calls on nearly every publish; hence lives are a tenth longer than requested.
-- A log entry is a whole envelope: an XADD of many messages costs as much as one. Its id is `<its last offset>-<ms since the Unix
-- epoch, then the number of its messages in five digits>`: separate fields would cost 1 us.
-- newest is a hash, in rooms without history: conflation id (8 bytes) to u64 mark, u64 ms since the Unix epoch, frame; and `#` to the
-- mark of the newest. Marks rise by one at least, and follow the clock, so that they go on rising when the hash is gone.
-- Time is Redis's own: the age of an entry must not depend on which node's clock wrote it and which one reads it.
-- Making strings is what costs, since Lua copies and hashes them. So Redis appends to a draft but never parses or cuts it.
local call, sub, floor, format, concat = redis.call, string.sub, math.floor, string.format, table.concat
local pack, unpack = struct.pack, struct.unpack
local TABLE, NOWHERE = 32, string.rep('\0', 16)
local NO_ID, KEPT_KEYS, KEPT_FRAME_BYTES = string.rep('\0', 8), 1000, 4096 -- see newest-messages.ts
local candidate, life, window, lineage = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local clock = call('TIME')
local micros = tonumber(clock[2])
local now = clock[1] * 1000 + floor(micros / 1000)
local id_format = format('%%d-%d%%05d', now)
-- What the current batch has done, to undo it: the dedup keys that it set, the meta that it
-- wrote and the previous value (false: there was none), and whether its entry is in the log.
local claimed, written, before, stored = {}, nil, false, false

-- In which lineage a room goes on, or nil for its own. Asked when the node's lineage is another. Then the record decides, so that nodes
-- end at the same one whatever each of them believes: one may have learnt it before the record was lost, and those of earlier
-- versions take the start of the server's id for it.
local function next_lineage(meta, ancestry)
  local record = call('GET', string.match(meta, '^[^}]*}:') .. 'lineage')
  local present = record and sub(record, 81) or ''
  if present == '' or ancestry == present or ancestry == sub(record, 1, 8) then return nil end
  return present
end

-- Claims the keys of a batch. Returns the set of frame indexes that are duplicates, their number, and their reply.
local function find_duplicates(k, keyed, indexes, epoch, offset)
  local gone, duplicates, reply = {}, 0, {}
  for i = 1, keyed do
    local key, index = KEYS[k + 1 + i], unpack('>I2', indexes, i * 2 - 1)
    local mine = offset and offset + 1 + index - duplicates or 0
    local value = format('%s:%d', epoch, mine)
    local earlier = call('SET', key, value, 'NX', 'GET', 'PX', window)
    if earlier == '' then earlier = call('SET', key, value, 'PX', window) and nil end
    if earlier then
      duplicates, gone[index] = duplicates + 1, true
      reply[duplicates] = pack('>I2c8I8', index, earlier, tonumber(sub(earlier, 10)))
    else
      claimed[#claimed + 1] = key
    end
  end
  return gone, duplicates, concat(reply)
end

-- The draft without some of its frames.
local function without(draft, flags, count, gone, kept)
  local lengths, excluded, ids, frames = {}, {}, {}, {}
  local excludes, conflates = flags % 2 == 1, flags % 8 >= 4
  local ids_at = TABLE + count * (excludes and 8 or 4)
  local from = ids_at + (conflates and count * 8 or 0) + 1
  for i = 0, count - 1 do
    local length = unpack('>I4', draft, TABLE + 1 + i * 4)
    if not gone[i] then
      lengths[#lengths + 1] = pack('>I4', length)
      if excludes then excluded[#excluded + 1] = sub(draft, TABLE + 1 + (count + i) * 4, TABLE + (count + i + 1) * 4) end
      if conflates then ids[#ids + 1] = sub(draft, ids_at + i * 8 + 1, ids_at + i * 8 + 8) end
      frames[#frames + 1] = sub(draft, from, from + length - 1)
    end
    from = from + length
  end
  return sub(draft, 1, 2) .. pack('>I2', kept) .. sub(draft, 5, TABLE) ..
    concat(lengths) .. concat(excluded) .. concat(ids) .. concat(frames)
end

-- How many entries may stay with one of this size, or nil for all. MEMORY USAGE costs 1.3 us however long the log is (it weighs five
-- of its nodes), a size of our own in meta would have to know the size of what is dropped. What Redis does not tell limits nothing.
local function most_entries(log, size, bytes)
  local used = redis.pcall('MEMORY', 'USAGE', log)
  if type(used) ~= 'number' or used + size <= bytes then return nil end
  return math.max(1, floor(call('XLEN', log) * bytes / (used + size)))
end

-- The oldest offset to keep in a log of which at least a fifth is too old, or nil: the offsets in it are searched by their time. Logs
-- of few entries are left alone: Redis drops whole nodes of them anyway, and all of a room that is not used.
local function oldest_young(log, newest, age)
  if call('XLEN', log) <= 32 then return nil end
  local function look(from)
    local entry = call('XRANGE', log, from, '+', 'COUNT', '1')[1]
    if not entry then return newest, false end
    local offset, born = string.match(entry[1], '^(%d+)-(%d+)%d%d%d%d%d$')
    return tonumber(offset), tonumber(born) < now - age
  end
  local old, is_old = look('-')
  if not is_old then return nil end
  local from, young = old, newest
  while young - old > (newest - from) / 16 do
    local middle = floor((old + young) / 2)
    local offset, too_old = look(format('%d', middle + 1))
    if too_old then old = offset else young = middle end
  end
  return old - from > (newest - from) / 5 and old + 1 or nil
end

-- Returns whether to prolong the life of the log. That comes last: if it fails, the batch has been sent.
local function store(k, envelope, count, first, kept, age, epoch, fresh, ancestry)
  local meta, log, last = KEYS[k], KEYS[k + 1], first + count - 1
  local messages, bytes = kept % 131072, floor(kept / 131072) * 65536
  local id, oldest = format(id_format, last, count), last - messages + 1
  local due = now - fresh >= (age < life and age or life) / 10 or now < fresh
  if due then
    call('SET', meta, epoch .. pack('>I8I8', now, last) .. ancestry, 'PX', format('%d', life * 1.1))
  else
    call('SETRANGE', meta, '16', pack('>I8', last))
  end
  written = meta
  if not before then call('DEL', log) end -- a log without its numbering cannot be continued
  -- Trimming costs as much as adding, so it runs when an eighth of the kept messages is new, and `~` drops only whole stream
  -- nodes. The excess is bounded, and reading filters precisely.
  local step = messages < 8 and 1 or floor(messages / 8)
  local counted = oldest > 1 and last % step < count
  -- The log is weighed about each time that an eighth of its bytes is new: by the offset, and by the clock as well, since who
  -- publishes could choose sizes around the offset.
  local entries, turns = nil, bytes / 8 / #envelope
  if bytes > 0 and (turns < 2 or last % floor(turns) < 1 or micros % floor(turns) < 1) then
    entries = most_entries(log, #envelope, bytes)
  end
  if due and before and not counted and not entries then
    oldest = oldest_young(log, first - 1, age)
    counted = oldest
  end
  if entries then
    call('XADD', log, 'MAXLEN', '~', format('%d', entries), id, 'e', envelope)
  elseif counted then
    call('XADD', log, 'MINID', '~', format('%d', oldest), id, 'e', envelope)
  else
    call('XADD', log, id, 'e', envelope)
  end
  stored = true
  return due
end

local function drop_oldest(newest)
  local all, marks = call('HGETALL', newest), {}
  for i = 1, #all, 2 do
    if all[i] ~= '#' then marks[#marks + 1] = { unpack('>I8', all[i + 1]), all[i] } end
  end
  table.sort(marks, function(a, b) return a[1] < b[1] end)
  for i = 1, #marks - KEPT_KEYS do call('HDEL', newest, marks[i][2]) end
end

-- Keeps the newest message of each conflation id. Returns the mark of the last frame.
local function keep_newest(newest, draft, flags, count, age)
  local last = math.max(tonumber(call('HGET', newest, '#') or 0) + count, clock[1] * 1000000 + clock[2])
  local ids_at = TABLE + count * (flags % 2 == 1 and 8 or 4)
  local to, seen = #draft, {}
  call('HSET', newest, '#', format('%d', last))
  for i = count - 1, 0, -1 do
    local length, id = unpack('>I4', draft, TABLE + 1 + i * 4), sub(draft, ids_at + i * 8 + 1, ids_at + i * 8 + 8)
    if id ~= NO_ID and not seen[id] then
      if length <= KEPT_FRAME_BYTES then
        call('HSET', newest, id, pack('>I8I8', last - count + 1 + i, now) .. sub(draft, to - length + 1, to))
      else
        call('HDEL', newest, id)
      end
    end
    to, seen[id] = to - length, true
  end
  if call('HLEN', newest) > KEPT_KEYS * 1.125 then drop_oldest(newest) end
  call('PEXPIRE', newest, format('%d', age * 1.1))
  return last
end

-- Signals are only sent. They carry where the room stands, so that nodes know which messages they follow.
local function send_signals(k, draft)
  local meta = call('GET', KEYS[k])
  local at = NOWHERE
  if meta and meta ~= '' then at = sub(meta, 17, 24) .. sub(meta, 1, 8) end
  call('PUBLISH', KEYS[k + 1], draft .. at)
  return pack('>Bc8I8I2', 0, '--------', 0, 0)
end

local function commit(k, newest, draft, indexes, flags, count, messages, age, keyed)
  local epoch, fresh, offset, ancestry = '--------', 0, nil, lineage
  if messages > 0 then
    before = call('GET', KEYS[k])
    if before == '' then before = false end
    if before then
      epoch, fresh, offset = unpack('>c8I8I8', before)
      ancestry = sub(before, 25)
      local next = lineage ~= '' and ancestry ~= lineage and next_lineage(KEYS[k], ancestry)
      if next then epoch, fresh, ancestry = candidate, 0, next end
    else
      epoch, offset = candidate, 0
    end
  end
  local gone, duplicates, reply = nil, 0, ''
  if keyed > 0 then gone, duplicates, reply = find_duplicates(newest and k + 1 or k, keyed, indexes, epoch, offset) end
  if duplicates > 0 then
    if duplicates < count then draft = without(draft, flags, count, gone, count - duplicates) end
    count = count - duplicates
  end
  local first = offset and offset + 1 or 0
  if count > 0 then
    local at = NOWHERE
    if offset then
      at = pack('>I8c8', first, epoch)
    elseif newest and age > 0 then
      at = pack('>I8I8', 0, keep_newest(newest, draft, flags, count, age))
    end
    local envelope = draft .. at
    local due = offset and store(k, envelope, count, first, messages, age, epoch, fresh, ancestry)
    call('PUBLISH', KEYS[k + 1], envelope)
    if due then call('PEXPIRE', KEYS[k + 1], format('%d', age * 1.1)) end
  end
  return pack('>Bc8I8I2', 0, epoch, first, duplicates) .. reply
end

-- A user whose rights were cut may not DEL, but could SET a moment ago. An empty value counts as gone.
local function drop(key)
  if not pcall(call, 'DEL', key) then pcall(call, 'SET', key, '', 'PX', 1) end
end

local function undo()
  if written and before then pcall(call, 'SET', written, before, 'KEEPTTL') end
  if written and not before then drop(written) end
  for i = 1, #claimed do drop(claimed[i]) end
end

local replies, n, k, a = {}, 0, 1, 5
while ARGV[a] do
  local draft = ARGV[a]
  local flags, count, messages, age, keyed = unpack('>xBI2I4I4I2', draft)
  written, before, stored = nil, false, false
  if messages % 131072 == 0 then messages = 0 end
  local newest = messages == 0 and flags % 8 >= 4 and KEYS[k + 2] or nil
  local fine, reply
  if flags % 4 >= 2 then
    fine, reply = pcall(send_signals, k, draft)
  else
    fine, reply = pcall(commit, k, newest, draft, ARGV[a + 1], flags, count, messages, age, keyed)
  end
  if not fine then
    local message = type(reply) == 'table' and reply.err or tostring(reply)
    reply = pack('>BI2', stored and 2 or 1, #message) .. message
    if stored then pcall(call, 'PEXPIRE', KEYS[k + 1], format('%d', age * 1.1)) else undo() end
  end
  if keyed > 0 then claimed = {} end
  n, k, a = n + 1, k + 2 + (newest and 1 or 0) + keyed, a + (keyed > 0 and 2 or 1)
  replies[n] = reply
end
return concat(replies)
