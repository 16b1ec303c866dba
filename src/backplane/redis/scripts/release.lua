-- Releases a lease, its own or a claimed one, if its node has no entries left anywhere.
--
-- KEYS  1 leases; 2 the node's rooms
-- ARGV  1 node; 2 its record as the caller left it (see lease.lua)
-- Returns 1 if it did, else 0.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] or redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
