#!lua flags=allow-oom
-- Writes the record of a partition's lineage, unless another node was faster. It may run on a full Redis: without it a node
-- could not even read.
--
-- KEYS  1 lineage
-- ARGV  1 the record that the node found, '' for none; 2 the record to write
-- Returns the record that is stored now.
--
-- A record is the replication id of the server on which the partition was last found (40 hexadecimal digits), the run id of
-- its process (40), and the lineage: which promotion, or start from an older disk, numbered the partition's rooms (8 characters, or none). See
-- lineage/decide.ts. It moves with the partition's slot, and never expires.
local stored = redis.call('GET', KEYS[1]) or ''
if stored ~= ARGV[1] then return stored end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
