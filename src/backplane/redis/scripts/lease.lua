#!lua flags=allow-oom
-- Renews a node's lease, or takes a new one if it is gone or claimed, and reads the leases of all nodes.
-- It may run on a full Redis: a record replaces another, and nodes must not seem dead for lack of memory.
--
-- KEYS  1 leases
-- ARGV  1 node; 2 the term that it holds, 0 for none; 3 its record if it still holds it; 4 its record if it does not
-- Returns 1 if it held it, else 0; then node and record alternately, including its own.
--
-- A record is `<term>:<beat>:<ms>:<claimer>`. The beat changes each time: an unchanged record shows the other nodes
-- that its node is dead, each by its own steady clock (lease-watch.ts). Redis's time may be set, and then all leases
-- would lapse at once. A term is never reused after the lease was lost. After that many ms without a change the lease has
-- lapsed. No claimer: the node lives. Its own name as claimer: it stopped. 'swept' in place of the claimer: its entries were
-- removed, and its list of rooms is looked through again when the record has stood for that long.
local before = redis.call('HGET', KEYS[1], ARGV[1])
local held = before and string.match(before, '^(%d+):%d+:%d+:$') == ARGV[2]
redis.call('HSET', KEYS[1], ARGV[1], held and ARGV[3] or ARGV[4])
local reply = redis.call('HGETALL', KEYS[1])
table.insert(reply, 1, held and 1 or 0)
return reply
