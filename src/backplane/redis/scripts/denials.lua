-- Reads a page of the denials that have not ended and of what was lifted, in the order of their ends.
--
-- KEYS  1 the denials; 2 when each was denied or lifted, both as deny.lua describes them
-- ARGV  1 the end to go on at (ms since the Unix epoch), or '' for the first page; 2 how many entries of that end to leave out;
--       3 the most entries
-- Returns Redis's time (ms since the Unix epoch), the entries, each with its mark and its end, alternately, and when each was
-- denied or lifted: '0' where an earlier version did that.
local call, format = redis.call, string.format
local clock = call('TIME')
local now = format('%d', clock[1] * 1000 + math.floor(clock[2] / 1000))
local from = ARGV[1] == '' and '(' .. now or ARGV[1]
local page, times = call('ZRANGEBYSCORE', KEYS[1], from, '+inf', 'WITHSCORES', 'LIMIT', ARGV[2], ARGV[3]), {}
for i = 1, #page, 2 do times[#times + 1] = call('ZSCORE', KEYS[2], string.sub(page[i], 2)) or '0' end
return { now, page, times }
