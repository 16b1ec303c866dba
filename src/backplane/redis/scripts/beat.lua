#!lua flags=allow-oom
-- Says that a node was there, and what it had seen of this server: see lineage/evidence.ts. It may run on a full Redis: without it
-- nodes could not tell whether one that starts again has everything.
--
-- KEYS  1 the node's beat
-- ARGV  1 run id of the server's process (40 hexadecimal digits), `:` and a number that rises; 2 its life in ms
-- Returns nothing useful.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 0
