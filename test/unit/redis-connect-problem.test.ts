import { expect, test } from 'vitest';
import { connectProblem, type StartCheckOptions } from '../../src/backplane/redis/start/start-checks.ts';
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
