-- Enters and removes connections of one node. One call carries many rooms. Each room is a separate atomic step:
-- an error in one is returned for that one and leaves the others alone.
--
-- KEYS  1 a string or nothing, used only to test whether Redis is full; then for each room: entries, users, order, channel;
--       at last the leases, if ARGV[1] names the node
-- ARGV  1 term of the node's lease (u32), and then the node, if its lease is on this server;
--       then for each room '1' if its changes are announced, else '0', and the number of its changes;
--       for each change the connection and who it is (MessagePack, see presence-event.ts), or '' for one that leaves
-- Returns for each room '' if all of it is done; '!' and an error message if it is done but not announced; else the error
--       message.
--
-- Without the lease nothing is done (NOLEASE): whoever flushed Redis took the node's list of rooms with it, and if the node died
-- before it found out, nobody would ever remove what it enters now.
--
-- Redis checks its memory limit only before the first write of a call, and lets HDEL pass: a leave would let others enter
-- beyond the limit. So the script tests first, with an empty write: a full Redis then accepts only rooms without joins.
--
-- An entry is the term, then who it is. A sweep (sweep.lua) of a dead node spares entries of a later term than the one it
-- claimed: their node was only frozen and is back.
-- An event (presence-event.ts) is a byte 2, then for each actual change, in MessagePack: true if it joined, false if it
-- left, nil if it is another who now; the connection; who it is; entries in the room afterwards. So a leave is announced
-- once, however often it is written, and the same data again not at all.
local call, pack, sub = redis.call, struct.pack, string.sub
local term, node = sub(ARGV[1], 1, 4), sub(ARGV[1], 5)

if node ~= '' then
  local record = call('HGET', KEYS[#KEYS], node) or ''
  if string.match(record, '^(%d+):%d+:%d+:$') ~= tostring(struct.unpack('>I4', term)) then
    return { err = 'NOLEASE the lease of this node is gone' }
  end
end

local function words(problem)
  return type(problem) == 'table' and problem.err or tostring(problem)
end

local asked, refusal = pcall(call, 'SETRANGE', KEYS[1], 0, '')
local full = not asked and string.find(words(refusal), '^OOM') and words(refusal)

local function count_user(users, who, by)
  local _, user = cmsgpack.unpack_limit(who, 1, 1)
  if user and call('HINCRBY', users, user, by) <= 0 then call('HDEL', users, user) end
end

-- Whether it is new, and else whether it is another who.
local function enter(entries, users, order, connection, who)
  if call('HSETNX', entries, connection, term .. who) == 1 then
    call('ZADD', order, 0, connection)
    count_user(users, who, 1)
    return true
  end
  local entry = call('HGET', entries, connection)
  if entry == term .. who then return false end
  call('HSET', entries, connection, term .. who)
  local before = sub(entry, 5)
  if before == who then return false end
  count_user(users, who, 1)
  count_user(users, before, -1)
  return false, true
end

-- Who left, or nil.
local function leave(entries, users, order, connection)
  local before = call('HGET', entries, connection)
  if not before then return nil end
  local who = sub(before, 5)
  call('HDEL', entries, connection)
  call('ZREM', order, connection)
  count_user(users, who, -1)
  return who
end

local function enters(a, changes)
  for i = a + 1, a + 2 * changes - 1, 2 do if ARGV[i] ~= '' then return true end end
end

-- Returns '', or why it was not announced.
local function apply(k, a, changes, announced)
  if full and enters(a, changes) then return full end
  local entries, users, order = KEYS[k], KEYS[k + 1], KEYS[k + 2]
  -- While a slot moves, some keys may be gone already: then this is refused, and nothing is half done.
  --@cluster call('EXISTS', entries, users, order)
  local count, event, n = call('HLEN', entries), { '\2' }, 1
  for i = a, a + 2 * changes - 2, 2 do
    local connection, who, head = ARGV[i], ARGV[i + 1], nil
    if who == '' then
      who = leave(entries, users, order, connection)
      if who then head, count = '\194', count - 1 end
    else
      local is_new, is_other = enter(entries, users, order, connection, who)
      if is_new then head, count = '\195', count + 1 elseif is_other then head = '\192' end
    end
    if head and announced then
      n = n + 1
      event[n] = head .. cmsgpack.pack(connection) .. who .. pack('>BI4', 0xce, count)
    end
  end
  if n == 1 then return '' end
  local fine, problem = pcall(call, 'PUBLISH', KEYS[k + 3], table.concat(event))
  return fine and '' or '!' .. words(problem)
end

local replies, n, k, a = {}, 0, 2, 2
while ARGV[a] do
  local changes = tonumber(ARGV[a + 1])
  local _, problem = pcall(apply, k, a + 2, changes, ARGV[a] == '1')
  n, k, a = n + 1, k + 4, a + 2 + 2 * changes
  replies[n] = words(problem)
end
return replies
