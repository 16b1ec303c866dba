import { expect, test } from 'vitest';
import { connectProblem, type StartCheckOptions } from '../../src/backplane/redis/start/start-checks.ts';
import { redisUnreachable } from '../../src/cli/doctor/redis-link.ts';
import { redisAddress } from '../../src/util/redis-url.ts';

const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
const denied = new Error('WRONGPASS invalid username-password pair or user is disabled.');

function says(error: Error, namedBy?: string): string {
  const address = redisAddress('redis://10.0.0.1:6379');
  const options = { address, startupTimeoutMs: 10_000, ...(namedBy === undefined ? {} : { namedBy }) };
  return connectProblem(error, options as StartCheckOptions).says;
}

test('a server of redis.url that does not answer leads to redis.url', () => {
  expect(says(refused)).toBe(
    'cannot reach Redis at 10.0.0.1:6379 within 10 s (ECONNREFUSED): check that it runs, and that redis.url is right',
  );
});

test('a master that the cluster names leads to the address that it announces', () => {
  expect(says(refused, '10.0.0.9:6379')).toBe(
    'cannot reach the master 10.0.0.1:6379, which 10.0.0.9:6379 names, within 10 s (ECONNREFUSED): check that it runs, and that this machine reaches the address that it announces',
  );
});

test('a master that refuses the login of the others is said to lack it', () => {
  expect(says(denied, '10.0.0.9:6379')).toMatch(
    /^cannot log in to Redis at 10\.0\.0\.1:6379: WRONGPASS .*: every server of the cluster needs the user and password of redis\.url$/,
  );
});

test('the doctor and a node that starts give the same hints on TLS, and none where nobody was met', () => {
  const hints = (code: string, url: string) => {
    const error = Object.assign(new Error('no'), { code });
    const options = { address: redisAddress(url), startupTimeoutMs: 10_000 } as StartCheckOptions;
    return [connectProblem(error, options).says, redisUnreachable(url, error).advice!];
  };
  const [plain, secure] = ['redis://10.0.0.1:6379', 'rediss://10.0.0.1:6379'];
  const cases: [string, string, string | null][] = [
    ['ETIMEDOUT', secure, 'that this port uses TLS (else use redis://)'],
    ['ECONNRESET', plain, 'that this port does not require TLS (else use rediss://)'],
    ['SELF_SIGNED_CERT_IN_CHAIN', secure, 'set redis.tls.caFile'],
    ['ENOTFOUND', plain, null],
    ['ECONNREFUSED', secure, null],
  ];
  for (const [code, url, hint] of cases) {
    for (const text of hints(code, url)) {
      if (hint === null) expect(text).not.toMatch(/TLS|rediss?:/);
      else expect(text).toContain(hint);
    }
  }
});
