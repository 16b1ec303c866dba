-- Tries each command that the other scripts and the nodes use, once, on its own keys, which it then removes. So a
-- node learns what a Redis refuses (a missing right, a renamed command, no memory) before its users do.
-- On a Redis Cluster the hash of 5 may lie in another slot than the rest, so that no command names both.
--
-- KEYS  none: Redis would refuse forbidden names in KEYS before the script runs, which could not report the rest
-- ARGV  1 string; 2 stream; 3 hash; 4 sorted set; 5 hash in the slot of the leases; 6 channel
-- Returns command and error message of each refused command, alternately.
local text, stream, hash, sorted, nodes, channel = unpack(ARGV)
local steps = {
  { 'SET', text, 'x', 'PX', '60000' }, { 'GET', text }, { 'SETRANGE', text, '0', 'y' }, { 'EXISTS', text },
  { 'PTTL', text }, { 'PEXPIRE', text, '60000' }, { 'TIME' },
  { 'XADD', stream, '*', 'e', '' }, { 'PEXPIRE', stream, '60000' }, { 'XRANGE', stream, '-', '+' },
  { 'XREVRANGE', stream, '+', '-' }, { 'XLEN', stream }, { 'MEMORY', 'USAGE', stream, right = 'memory|usage' },
  { 'HSET', nodes, 'a', '1' }, { 'PEXPIRE', nodes, '60000' }, { 'HGETALL', nodes }, { 'HGET', nodes, 'a' },
  { 'HSETNX', hash, 'a', '1' }, { 'PEXPIRE', hash, '60000' }, { 'HINCRBY', hash, 'a', '1' }, { 'HLEN', hash },
  { 'HSCAN', hash, '0' }, { 'HMGET', hash, 'a' }, { 'HDEL', hash, 'a' },
  { 'ZADD', sorted, '1', 'a' }, { 'PEXPIRE', sorted, '60000' }, { 'ZSCORE', sorted, 'a' },
  { 'ZCOUNT', sorted, '-inf', '+inf' }, { 'ZREVRANGEBYSCORE', sorted, '+inf', '-inf' },
  { 'ZRANGEBYLEX', sorted, '-', '+' }, { 'ZREM', sorted, 'b' },
  { 'ZRANGEBYSCORE', sorted, '-inf', '+inf' }, { 'ZREMRANGEBYSCORE', sorted, '-inf', '0' },
  { 'PUBSUB', 'NUMSUB', channel, right = 'pubsub|numsub' },
  { 'PUBLISH', channel, '' },
  { 'DEL', text, stream, hash, sorted }, { 'DEL', nodes },
}
local refused = {}
for i = 1, #steps do
  local reply = redis.pcall(unpack(steps[i]))
  if type(reply) == 'table' and reply.err then
    refused[#refused + 1], refused[#refused + 2] = steps[i].right or steps[i][1], reply.err
  end
end
return refused
