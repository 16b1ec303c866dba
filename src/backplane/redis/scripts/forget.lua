-- Removes swept rooms from a dead node's list, except those that it has registered again since.
--
-- KEYS  1 the node's rooms (hash: room to `<term>:<1 if announced>`)
-- ARGV  1 the claimed term; then rooms
-- Returns nothing useful.
local term = tonumber(ARGV[1])
for i = 2, #ARGV do
  local value = redis.call('HGET', KEYS[1], ARGV[i])
  if value and tonumber(string.match(value, '^%d+')) <= term then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return 0
