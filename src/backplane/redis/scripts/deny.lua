-- Writes denials: who is kept out of what, and until when. Time is Redis's own.
--
-- KEYS  1 the denials (sorted set: `+<subject>`, or `-<subject>` where it was lifted, by the ms since the Unix epoch at which the
--       denial ends or would have ended); 2 when each was denied or lifted (sorted set: subject by ms since the Unix epoch)
-- ARGV  1 'deny', 'lift', or 'restore' for what the store may have lost; 2 the most entries when denying; then for each subject:
--       its name, ms from now on, and a time in ms since the Unix epoch: later than this, or with 'restore' the time itself,
--       followed there by '+' or '-'
-- Returns when it was denied or lifted, or 0 if there are too many: nothing was written then. With 'restore' 1.
--
-- A store that comes back from an older disk has an older change of the same subject: the later change stays. Each is later than the
-- one before, whatever the clock says.
-- Like publish.lua it starts with a write that can need memory, so that a full Redis refuses all of it.
local call, format, max = redis.call, string.format, math.max
local key, changes, does, most = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2])
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- When the subject's denial ends or would have ended, and when that was said; nil for none that has not ended.
local function known(subject)
  local ends = call('ZSCORE', key, '+' .. subject) or call('ZSCORE', key, '-' .. subject)
  if ends and tonumber(ends) > now then return tonumber(ends), tonumber(call('ZSCORE', changes, subject) or 0) end
end

local life = 0
local function write(subject, mark, ms, at)
  call('ZADD', key, format('%d', now + ms), mark .. subject)
  call('ZREM', key, (mark == '+' and '-' or '+') .. subject)
  call('ZADD', changes, format('%d', at), subject)
  life = max(life, ms)
end

local reply = 1
if does == 'restore' then
  for i = 3, #ARGV, 4 do
    local ends, at = known(ARGV[i])
    if not ends or at < tonumber(ARGV[i + 2]) then
      write(ARGV[i], ARGV[i + 3], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]))
    end
  end
else
  local subject, ms = ARGV[3], tonumber(ARGV[4])
  local ends, at = known(subject)
  if does == 'deny' and not ends and call('ZCOUNT', key, format('(%d', now), '+inf') >= most then return 0 end
  reply = max(now, (at or 0) + 1, tonumber(ARGV[5]) + 1)
  if does == 'lift' then write(subject, '-', max(ms, ends and ends - now or 0), reply) else write(subject, '+', ms, reply) end
end
if life == 0 then return 1 end

local ended = call('ZRANGEBYSCORE', key, '-inf', format('%d', now))
for i = 1, #ended do call('ZREM', changes, string.sub(ended[i], 2)) end
call('ZREMRANGEBYSCORE', key, '-inf', format('%d', now))
for i = 1, 2 do
  if call('PTTL', KEYS[i]) < life then call('PEXPIRE', KEYS[i], format('%d', life)) end
end
return reply
