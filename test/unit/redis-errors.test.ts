import { expect, test } from 'vitest';
import {
  errorFromCall,
  errorFromReply,
  isNotRun,
  StoredError,
} from '../../src/backplane/redis/link/redis-errors.ts';

/** How Redis words it, within a script and without one. */
const NOT_RUN = [
  'MOVED 115 127.0.0.1:7002',
  'ASK 115 127.0.0.1:7002',
  'TRYAGAIN Multiple keys request during rehashing of slot',
  'CLUSTERDOWN Hash slot not served',
  "READONLY You can't write against a read only replica.",
  'ERR Script attempted to access a non local key in a cluster node script: abc, on @user_script:1.',
  'ERR Error running script: Script attempted to execute a command while the cluster is down',
];

test.each(NOT_RUN)('a server that replies "%s" did not run the call', (reply) => {
  expect(isNotRun(errorFromReply(reply, 'publish'))).toBe(true);
});

test.each(NOT_RUN)('what was stored before "%s" ran, and must not run again', (reply) => {
  expect(isNotRun(new StoredError(reply))).toBe(false);
});

test('other errors do not say that the call did not run', () => {
  expect(isNotRun(errorFromReply('OOM command not allowed', 'publish'))).toBe(false);
});

test.each([
  ["Stream isn't writeable and enableOfflineQueue options is false", 'unavailable', 'the connection is down'],
  ['Command timed out', 'timeout', 'no answer in time'],
  ['Connection is closed.', 'timeout', 'the connection was lost before the answer'],
  ['read ECONNRESET', 'timeout', 'the connection was lost before the answer'],
])('what ioredis says of "%s" reaches nobody in its words', (text, code, says) => {
  const cause = new Error(text);
  expect(errorFromCall(cause, 'publish')).toMatchObject({ code, message: `redis: ${says}`, cause });
});
