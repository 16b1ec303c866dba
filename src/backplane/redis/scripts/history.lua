-- Reads a room's position and the messages after an offset, or its newest ones, as one atomic view. Gives the room an epoch if it
-- has
-- none and the caller wants one, or if it was numbered before a promotion that may have lost messages.
--
-- KEYS  1 meta; 2 log
-- ARGV  1 only messages after this offset; 2 about how many messages (0: only the position);
--       3 how many the room keeps; 4 for how many ms; 5 epoch for a room that needs one (8 ASCII characters);
--       6 life of unused meta in ms; 7 lineage of the partition (8 ASCII characters, or empty; see lineage.lua);
--       8 life in ms of the meta of a room that never had a message nor a start, from the last such read on; 0: only read,
--         a room without numbering stays without;
--       9 '1': the newest messages, else the oldest after the offset; 10 maximum bytes of the envelopes together (0: no
--         limit); a single envelope may exceed it
-- Returns epoch ('' for a room without numbering), offset as text, then the envelopes, oldest first.
--
-- publish.lua describes the formats of meta and log. As there, age is measured with Redis's own time.
local call, format = redis.call, string.format
local after, limit, messages, age = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local lineage, empty_life = ARGV[7], tonumber(ARGV[8])
local newest, most_bytes = ARGV[9] == '1', tonumber(ARGV[10])

local function begin()
  if empty_life == 0 then return '', 0 end
  call('SET', KEYS[1], ARGV[5] .. string.rep('\0', 16) .. lineage, 'PX', format('%d', empty_life * 1.1))
  call('DEL', KEYS[2]) -- a log without its numbering cannot be continued
  return ARGV[5], 0
end

-- As in publish.lua.
local function next_lineage(ancestry)
  local record = call('GET', string.match(KEYS[1], '^[^}]*}:') .. 'lineage')
  local present = record and string.sub(record, 81) or ''
  if present == '' or ancestry == present or ancestry == string.sub(record, 1, 8) then return nil end
  return present
end

local function position()
  local meta = call('GET', KEYS[1])
  if not meta then return begin() end
  local epoch, fresh, offset = struct.unpack('>c8I8I8', meta)
  local ancestry = string.sub(meta, 25)
  local next = lineage ~= '' and ancestry ~= lineage and next_lineage(ancestry)
  if next then
    epoch = ARGV[5]
    call('SETRANGE', KEYS[1], 0, epoch)
    call('SETRANGE', KEYS[1], 24, next)
  end
  -- Reads keep a room's numbering alive too. The time is not stored: that field stands for the log as well.
  local life = (offset > 0 or fresh > 0 and empty_life > 0) and tonumber(ARGV[6]) or empty_life
  -- A Redis that refuses writes for now can still be read.
  if life > 0 and call('PTTL', KEYS[1]) < life then redis.pcall('PEXPIRE', KEYS[1], format('%d', life * 1.1)) end
  return epoch, offset
end

local epoch, offset = position()
local reply = { epoch, format('%d', offset) }
local clock = call('TIME')
local oldest = clock[1] * 1000 + math.floor(clock[2] / 1000) - age
local from = math.max(after, offset - messages, newest and offset - limit or 0) + 1
local found, bytes, page, whole = 0, 0, {}, false

-- Adds an entry to the page, unless the page is full or has ended. `first` is the offset from which it counts.
local function add(entry, last, count, first)
  local size = #entry[2][2]
  whole = whole or found >= limit or (most_bytes > 0 and found > 0 and bytes + size > most_bytes)
  if whole then return end
  page[#page + 1] = entry[2][2]
  found, bytes = found + math.min(count, last - first + 1), bytes + size
end

-- Entries are read a few at a time: how many messages one has, and their size, is not known in advance.
local function step()
  return (found == 0 or most_bytes > 0 and bytes * 8 > most_bytes) and 4 or 16
end

local function parts(entry)
  local last, born, count = string.match(entry[1], '^(%d+)-(%d+)(%d%d%d%d%d)$')
  return tonumber(last), tonumber(born), tonumber(count)
end

local function read_on()
  local seen = false
  while not whole and found < limit and from <= offset do
    local wanted = step()
    local entries = call('XRANGE', KEYS[2], format('%d', from), '+', 'COUNT', wanted)
    for i = 1, #entries do
      local last, born, count = parts(entries[i])
      -- Only a prefix can have expired: after the first young entry all count, or a changed clock would make a hole.
      seen = seen or born >= oldest
      if seen then add(entries[i], last, count, from) end
      from = last + 1
    end
    if #entries < wanted then return end
  end
end

local function read_back()
  local before = '+'
  while not whole and found < limit do
    local wanted = step()
    local entries = call('XREVRANGE', KEYS[2], before, format('%d', from), 'COUNT', wanted)
    for i = 1, #entries do
      local last, born, count = parts(entries[i])
      if born < oldest then return end
      add(entries[i], last, count, from)
      before = '(' .. entries[i][1]
    end
    if #entries < wanted then return end
  end
end

if limit > 0 and newest then read_back() elseif limit > 0 then read_on() end
for i = 1, #page do reply[i + 2] = page[newest and #page + 1 - i or i] end
return reply
