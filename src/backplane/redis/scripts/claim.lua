#!lua flags=allow-oom
-- Claims the lease of a dead node, or prolongs a claim, if its record is what the claimer believes it to be: so of several
-- claimers one gets it, and a claimer notices that the node is back.
-- It is allowed on a full Redis: a record takes the place of another, and nodes must not seem dead for want of memory.
--
-- KEYS  1 leases
-- ARGV  1 the dead node; 2 its record as it was seen; 3 its record from now on (see lease.lua)
-- Returns 1 if it did, else 0.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
