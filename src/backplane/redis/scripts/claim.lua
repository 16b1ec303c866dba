#!lua flags=allow-oom
-- Claims the lease of a dead node, or prolongs a claim, if its record is what the claimer expects: so one of several
-- claimers gets it, and a claimer notices that the node is back.
-- It may run on a full Redis: a record replaces another, and nodes must not seem dead for lack of memory.
--
-- KEYS  1 leases
-- ARGV  1 the dead node; 2 its record as seen; 3 its new record (see lease.lua)
-- Returns 1 if it did, else 0.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
