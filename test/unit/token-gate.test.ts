/** What every token passes: size, the budget of its address, its signature, what is revoked. Each outcome is counted. */
import { beforeEach, describe, expect, it } from 'vitest';
import { ALL_PERMITTED, type Authenticator, AuthFailure, type Identity } from '../../src/auth/identity.ts';
import { refusalOf } from '../../src/auth/refusal.ts';
import { TokenBudget } from '../../src/auth/token-budget.ts';
import { MAX_TOKEN_BYTES, TokenGate, type TokenOutcome } from '../../src/auth/token-gate.ts';
import { silentLog } from '../../src/util/log.ts';
import { networkOf } from '../../src/util/network-of.ts';
import { FakeClock } from '../support/fake-clock.ts';

let clock: FakeClock;
let outcomes: TokenOutcome[];
let checked: string[];
let revoked: Set<string>;

beforeEach(() => {
  clock = new FakeClock();
  outcomes = [];
  checked = [];
  revoked = new Set();
});

/** Accepts a user's name as token, and refuses what starts with a dash. */
const byName: Authenticator = {
  async authenticate(token): Promise<Identity> {
    checked.push(token);
    await Promise.resolve();
    if (token === '-fault') throw new Error('a fault of ours');
    if (token.startsWith('-')) throw new AuthFailure('unauthorized', 'forged');
    return { user: token, expiresAtMs: null, tokenId: `id of ${token}`, permissions: ALL_PERMITTED };
  },
};

function gate(refusalsPerSecond = 10, spares = (_addressKey: string) => false): TokenGate {
  return new TokenGate({
    authenticator: byName,
    revocations: { isRevoked: ({ user, tokenId }) => revoked.has(user) || revoked.has(tokenId!) },
    refusalsPerSecond,
    spares,
    scheduler: { nowMs: clock.nowMs, after: () => ({ cancel: () => undefined }) },
    outcome: (outcome) => outcomes.push(outcome),
  });
}

const code = (work: Promise<unknown>) =>
  work.then(
    () => 'ok',
    (error: unknown) => (error instanceof AuthFailure ? error.code : 'internal'),
  );

describe('a token', () => {
  it('is counted by what came of it', async () => {
    const by = gate();
    revoked.add('eve').add('id of mal');
    const codes = ['ann', '-forged', 'eve', 'mal', '-fault'].map((token) =>
      code(by.authenticate(token, '192.0.2.1')),
    );
    expect(await Promise.all(codes)).toEqual([
      ...['ok', 'unauthorized', 'token_revoked', 'token_revoked'],
      'internal',
    ]);
    expect(outcomes.sort()).toEqual(['internal', 'ok', 'token_revoked', 'token_revoked', 'unauthorized']);
  });

  it('that is revoked while it is checked is refused', async () => {
    const check = code(gate().authenticate('ann', '192.0.2.1'));
    revoked.add('ann');
    expect(await check).toBe('token_revoked');
  });

  it('that is too large is refused unread, with its size', async () => {
    const large = 'x'.repeat(MAX_TOKEN_BYTES + 1);
    await expect(gate().authenticate(large)).rejects.toThrow('at most 32768 bytes, got 32769');
    expect(checked).toEqual([]);
    expect(await code(gate().authenticate('x'.repeat(MAX_TOKEN_BYTES)))).toBe('ok');
  });
});

describe('tokens that are refused', () => {
  /** How many of so many were checked. */
  async function flood(by: TokenGate, address: string, count: number): Promise<number> {
    checked = [];
    for (let n = 0; n < count; n++) await code(by.authenticate('-forged', address));
    return checked.length;
  }

  it('cost an address its budget: a burst of four seconds, then so many a second', async () => {
    const by = gate(10);
    expect(await flood(by, '192.0.2.1', 1000)).toBe(40);
    expect(outcomes.filter((outcome) => outcome === 'rate_limited')).toHaveLength(960);
    clock.advance(1000);
    expect(await flood(by, '192.0.2.1', 1000)).toBe(10);
  });

  it('cost it the same where they come all at once: what is in flight counts', async () => {
    const by = gate(10);
    await Promise.all(Array.from({ length: 1000 }, () => code(by.authenticate('-forged', '192.0.2.1'))));
    expect(checked).toHaveLength(40);
  });

  it('leave other addresses alone, and those to which no limit applies', async () => {
    const by = gate(10);
    await flood(by, '2001:db8:0:1::/64', 1000);
    expect(await code(by.authenticate('ann', '2001:db8:0:1::/64'))).toBe('rate_limited');
    expect(await code(by.authenticate('ann', '2001:db8:0:2::/64'))).toBe('ok');
    expect(await code(by.authenticate('ann', '192.0.2.1'))).toBe('ok');
    checked = [];
    for (let n = 0; n < 1000; n++) await code(by.authenticate('-forged', null));
    expect(checked).toHaveLength(1000);
  });

  it('do not lock out everyone behind an address that is spared, and buy it no credit', async () => {
    const asked: string[] = [];
    let isSpared = true;
    const spares = (addressKey: string) => asked.push(addressKey) > 0 && isSpared;
    const by = gate(10, spares);
    expect(await flood(by, '10.0.0.7', 1000)).toBe(1000);
    // Asked beyond the limit only: then somebody may be told.
    expect(asked).toEqual(Array(960).fill('10.0.0.7'));
    for (let n = 0; n < 1000; n++) expect(await code(by.authenticate('ann', '10.0.0.7'))).toBe('ok');
    isSpared = false;
    expect(await flood(by, '10.0.0.7', 1000)).toBe(0);
  });

  it('tell the owner when to come back, over HTTP and on an open connection, which may stay', async () => {
    const by = gate(1);
    await flood(by, '192.0.2.1', 10);
    const error = await by.authenticate('ann', '192.0.2.1').catch((thrown: unknown) => thrown);
    expect(refusalOf(error, silentLog)).toEqual({
      code: 'rate_limited',
      message: 'too many tokens from this address were refused: auth.refusalsPerSecond is 1',
      close: { code: 1013, reason: 'try again later' },
      isFinal: false,
      details: { retryAfterMs: 1000, limit: 'auth.refusalsPerSecond' },
    });
    clock.advance(1000);
    expect(await code(by.authenticate('ann', '192.0.2.1'))).toBe('ok');
  });

  it('are not limited where the limit is 0', async () => {
    expect(await flood(gate(0), '192.0.2.1', 1000)).toBe(1000);
  });
});

it('tokens that are accepted cost an address a tenth: many clients behind one get in', async () => {
  const by = gate(10);
  for (let n = 0; n < 390; n++) expect(await code(by.authenticate('ann', '192.0.2.1'))).toBe('ok');
  // Those that are revoked cost what forged ones cost: their owner has nothing else.
  revoked.add('ann');
  clock.advance(60_000);
  for (let n = 0; n < 50; n++) await code(by.authenticate('ann', '192.0.2.1'));
  expect(outcomes.filter((outcome) => outcome === 'token_revoked')).toHaveLength(40);
});

it('addresses that have paid for everything are forgotten', () => {
  const budget = new TokenBudget(1000);
  for (let n = 0; n < 5000; n++) budget.take(`192.0.${n >> 8}.${n & 255}`, n * 10);
  expect(budget.size).toBeLessThan(1100);
});

it.each([
  ['192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:DB8:0001:0002::', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:db8::7:0:0:1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['1::2:3:4:5:6:7', '1:0:2:3::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
  ['', ''],
])('the network of %s is %s', (address, network) => {
  expect(networkOf(address)).toBe(network);
});
