import { beforeEach, expect, it } from 'vitest';
import { CHECKS_AT_ONCE, CheckTurns, MAX_WAITING, SLOW_MS } from '../../src/auth/check-turns.ts';
import { AuthFailure } from '../../src/auth/identity.ts';
import { FakeClock } from '../support/fake-clock.ts';

let clock: FakeClock;
let timers: (() => void)[];
let turns: CheckTurns;
/** Names of checks that began, in order, and what ends each. */
let begun: string[];
let ends: Map<string, (error?: Error) => void>;

beforeEach(() => {
  clock = new FakeClock();
  timers = [];
  begun = [];
  ends = new Map();
  const after = (_: number, work: () => void) => {
    timers.push(work);
    return { cancel: () => undefined };
  };
  turns = new CheckTurns({ nowMs: clock.nowMs, after });
});

function check(name: string, address: string | null): Promise<string> {
  return turns.run(address, () => {
    begun.push(name);
    return new Promise((resolve, reject) => {
      ends.set(name, (error) => (error === undefined ? resolve(name) : reject(error)));
    });
  });
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

it('no more tokens are checked at once than the threads can take, over all addresses', async () => {
  const checks = Array.from({ length: 50 }, (_, n) => check(`${n}`, `address ${n}`));
  await settled();
  expect(begun).toHaveLength(CHECKS_AT_ONCE);
  for (let n = 0; n < 50; n++) {
    ends.get(`${n}`)!();
    await settled();
    expect(begun).toHaveLength(Math.min(50, CHECKS_AT_ONCE + n + 1));
  }
  expect(await Promise.all(checks)).toEqual(Array.from({ length: 50 }, (_, n) => `${n}`));
  expect(turns.waiting).toBe(0);
});

it('a token of another address is next, however many of one wait', async () => {
  for (let n = 0; n < 1000; n++) void check(`forged ${n}`, 'far').catch(() => undefined);
  void check('good', 'near');
  await settled();
  for (const name of begun.slice(0, 2)) ends.get(name)!(new Error('forged'));
  await settled();
  expect(begun.slice(CHECKS_AT_ONCE)).toEqual([`forged ${CHECKS_AT_ONCE}`, 'good']);
});

it('a check that waits for the network keeps nobody from going on', async () => {
  for (let n = 0; n < CHECKS_AT_ONCE; n++) void check(`slow ${n}`, 'far');
  void check('good', 'near');
  await settled();
  expect(begun).not.toContain('good');
  clock.advance(SLOW_MS);
  for (const timer of timers) timer();
  await settled();
  expect(begun).toContain('good');
  for (let n = 0; n < CHECKS_AT_ONCE; n++) ends.get(`slow ${n}`)!();
  ends.get('good')!();
  await settled();
  expect(turns.waiting).toBe(0);
});

it('what would wait too long is told to come back', async () => {
  for (let n = 0; n < CHECKS_AT_ONCE + MAX_WAITING; n++) void check(`${n}`, `${n % 7}`);
  const failure = await check('late', null).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(AuthFailure);
  expect(failure).toMatchObject({ code: 'unavailable', retryAfterMs: 1000 });
});
