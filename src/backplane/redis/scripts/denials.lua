-- Reads a page of the denials that have not ended and of what was lifted, in the order of their ends.
--
-- KEYS  1 the denials, as deny.lua describes them
-- ARGV  1 the end to go on at (ms since the Unix epoch), or '' for the first page; 2 how many entries of that end to leave out;
--       3 the most entries
-- Returns Redis's time (ms since the Unix epoch), and the entries, each with its mark and its end, alternately.
local call, format = redis.call, string.format
local clock = call('TIME')
local now = format('%d', clock[1] * 1000 + math.floor(clock[2] / 1000))
local from = ARGV[1] == '' and '(' .. now or ARGV[1]
return { now, call('ZRANGEBYSCORE', KEYS[1], from, '+inf', 'WITHSCORES', 'LIMIT', ARGV[2], ARGV[3]) }
