-- Writes denials: who is kept out of what, and until when. Time is Redis's own.
--
-- KEYS  1 the denials (sorted set: `+<subject>`, or `-<subject>` where it was lifted, by the ms since the Unix epoch at which the
--       denial ends or would have ended)
-- ARGV  1 'deny', 'lift', or 'restore' for subjects of which nothing is known; 2 the most entries when denying;
--       then subject and ms from now on, alternately
-- Returns 1, or 0 if there are too many: nothing was written then.
--
-- Like publish.lua it starts with a write that can need memory, so that a full Redis refuses all of it.
local call, format = redis.call, string.format
local key, does, most = KEYS[1], ARGV[1], tonumber(ARGV[2])
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function knows(subject)
  return call('ZSCORE', key, '+' .. subject) or call('ZSCORE', key, '-' .. subject)
end

if does == 'deny' and not knows(ARGV[3]) and call('ZCOUNT', key, format('(%d', now), '+inf') >= most then return 0 end
local life = 0
for i = 3, #ARGV, 2 do
  local subject, ms = ARGV[i], tonumber(ARGV[i + 1])
  if does ~= 'restore' or not knows(subject) then
    local mark, other, before = '+', '-', nil
    if does == 'lift' then mark, other, before = '-', '+', call('ZSCORE', key, '+' .. subject) end
    ms = math.max(ms, before and before - now or 0)
    call('ZADD', key, format('%d', now + ms), mark .. subject)
    call('ZREM', key, other .. subject)
    life = math.max(life, ms)
  end
end
if life == 0 then return 1 end
call('ZREMRANGEBYSCORE', key, '-inf', format('%d', now))
if call('PTTL', key) < life then call('PEXPIRE', key, format('%d', life)) end
return 1
