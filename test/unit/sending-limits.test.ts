import { describe, expect, it } from 'vitest';
import { ALL_PERMITTED, type Identity } from '../../src/auth/identity.ts';
import { Allowance, FLOOD, WITHIN } from '../../src/connection/allowance.ts';
import { overLimit } from '../../src/connection/over-limit.ts';
import { type SendingSettings, sendingLimits } from '../../src/connection/sending-limits.ts';
import { encodeCommand } from '../../src/protocol/client-codec.ts';
import { NO_LIMITS } from '../support/no-limits.ts';
import { Session } from '../support/session.ts';

const limitsOf = (settings: Partial<SendingSettings>) => sendingLimits({ ...NO_LIMITS, ...settings });
const ZERO = { nowMs: () => 0 };
const ANN: Identity = { user: 'ann', expiresAtMs: null, permissions: ALL_PERMITTED };

/** How many of these verdicts in a row let something pass. */
function passed(most: number, verdict: () => number): number {
  for (let n = 0; n < most; n++) if (verdict() !== WITHIN) return n;
  return most;
}

describe('what a user may send', () => {
  it('is counted over all of its connections, and no other user pays for it', () => {
    const limits = limitsOf({ userCommandsPerSecond: 10, userCommandBurst: 64 });
    const [one, two, other] = [new Allowance(), new Allowance(), new Allowance()];
    const first = passed(1000, () => one.command(limits, 'ann', 0, 0));
    const second = passed(1000, () => two.command(limits, 'ann', 0, 0));
    // Charged by 16: each connection may have up to 15 that are not charged yet.
    expect(first + second).toBe(64 + 2 * 15);
    expect(one.refusal(limits, 100)).toEqual({
      code: 'rate_limited',
      message:
        'too many commands a second from all connections of this user: limits.userCommandsPerSecond is 10',
      details: { retryAfterMs: 100, limit: 'limits.userCommandsPerSecond' },
    });
    expect(passed(64, () => other.command(limits, 'bob', 0, 0))).toBe(64);
    expect(passed(1000, () => new Allowance().command(limits, null, 0, 0))).toBe(1000);
  });

  it('passes again after the time that the refusal says', () => {
    const limits = limitsOf({ userCommandsPerSecond: 16, userCommandBurst: 16 });
    const allowance = new Allowance();
    passed(1000, () => allowance.command(limits, 'ann', 0, 0));
    const retryAfterMs = allowance.command(limits, 'ann', 0, 0);
    expect(retryAfterMs).toBe(1000);
    expect(allowance.command(limits, 'ann', 0, retryAfterMs)).toBe(WITHIN);
  });
});

describe('what an address may send without a user', () => {
  const address = () => new Allowance('192.0.2.7');

  it('is counted over all of its connections, and no other address and no user pays for it', () => {
    const limits = limitsOf({ addressCommandsPerSecond: 10, addressCommandBurst: 64 });
    const [one, two] = [address(), address()];
    const sent =
      passed(1000, () => one.command(limits, null, 0, 0)) +
      passed(1000, () => two.command(limits, null, 0, 0));
    expect(sent).toBe(64 + 2 * 15);
    expect(two.refusal(limits, 100).details).toEqual({
      retryAfterMs: 100,
      limit: 'limits.addressCommandsPerSecond',
    });
    for (const [other, user] of [
      [new Allowance('192.0.2.8'), null],
      [new Allowance(), null],
      [address(), 'ann'],
    ] as const) {
      expect(passed(64, () => other.command(limits, user, 0, 0))).toBe(64);
    }
  });

  it('is five commands for a join', () => {
    const limits = limitsOf({ addressCommandsPerSecond: 10, addressCommandBurst: 100 });
    const joins = () => {
      const connection = address();
      return passed(1000, () => {
        const verdict = connection.command(limits, null, 0, 0);
        return verdict === WITHIN ? connection.join(limits, null, 0) : verdict;
      });
    };
    expect(joins()).toBe(21);
    expect(joins()).toBe(0);
  });

  it('ends in a flood for each connection, once all of them were refused enough', () => {
    const limits = limitsOf({ addressCommandsPerSecond: 200, addressCommandBurst: 200 });
    const verdicts = Array.from({ length: 500 }, () => {
      const connection = address();
      return Array.from({ length: 16 }, () => connection.command(limits, null, 0, 0)).at(-1);
    });
    expect(verdicts.indexOf(FLOOD)).toBe(12 + 200);
    expect(verdicts.slice(212).every((verdict) => verdict === FLOOD)).toBe(true);
  });
});

describe('joins', () => {
  it('have a rate of their own, and as many at once as there may be rooms', () => {
    const limits = limitsOf({ joinsPerSecond: 10, joinBurst: 5, roomsPerConnection: 50 });
    const allowance = new Allowance();
    expect(passed(1000, () => allowance.join(limits, null, 0))).toBe(50);
    expect(allowance.join(limits, null, 0)).toBe(100);
    expect(allowance.join(limits, null, 100)).toBe(WITHIN);
    expect(allowance.command(limits, null, 0, 0)).toBe(WITHIN);
  });

  it('end in a flood for who goes on', () => {
    const limits = limitsOf({
      joinsPerSecond: 1,
      joinBurst: 1,
      roomsPerConnection: 1,
      commandsPerSecond: 1000,
      commandBurst: 1000,
    });
    const allowance = new Allowance();
    allowance.join(limits, null, 0);
    const verdicts = Array.from({ length: 1100 }, () => allowance.join(limits, null, 0));
    expect(verdicts.indexOf(FLOOD)).toBe(1000);
  });
});

describe('commands that wait for their reply', () => {
  it('are bounded', () => {
    const limits = limitsOf({ pendingRequests: 3 });
    const allowance = new Allowance();
    expect(allowance.command(limits, null, 2, 0)).toBe(WITHIN);
    const retryAfterMs = allowance.command(limits, null, 3, 0);
    expect(allowance.refusal(limits, retryAfterMs)).toMatchObject({
      message: 'too many commands wait for their reply: limits.pendingRequests is 3',
      details: { retryAfterMs: 100, limit: 'limits.pendingRequests' },
    });
  });
});

describe('idempotency keys', () => {
  it('are never remembered in greater number than the setting says', () => {
    const dedupWindowMs = 60_000;
    const limits = limitsOf({ keysPerUser: 600, dedupWindowMs });
    const allowance = new Allowance();
    const kept: number[] = [];
    let most = 0;
    for (let nowMs = 0; nowMs < 5 * dedupWindowMs; nowMs += 20) {
      if (allowance.key(limits, 'ann', { nowMs: () => nowMs }) === 0) kept.push(nowMs);
      while (kept[0]! <= nowMs - dedupWindowMs) kept.shift();
      most = Math.max(most, kept.length);
    }
    // Those that were paid for at a time may be used later: 3 here, 16 at most.
    expect(most).toBeLessThanOrEqual(600 + 2);
    expect(most).toBeGreaterThan(590);
  });

  it('belong to a user on all of its connections, and to each connection without one', () => {
    const limits = limitsOf({ keysPerUser: 20 });
    const key =
      (user: string | null, allowance = new Allowance()) =>
      () =>
        allowance.key(limits, user, ZERO) === 0 ? WITHIN : 1;
    expect(passed(100, key('ann'))).toBe(10);
    expect(passed(100, key('ann'))).toBe(0);
    expect(passed(100, key('bob'))).toBe(10);
    expect(passed(100, key(null))).toBe(10);
    expect(passed(100, key(null))).toBe(10);
    expect(passed(100, () => new Allowance().key(limitsOf({}), 'ann', ZERO))).toBe(100);
  });
});

describe.each(['msgpack', 'json'] as const)('a %s connection', (encoding) => {
  it('is told the limit, and when to try again, and it is counted', () => {
    const session = new Session({
      encoding,
      identity: ANN,
      limits: {
        joinsPerSecond: 10,
        joinBurst: 2,
        roomsPerConnection: 2,
        userCommandsPerSecond: 1,
        userCommandBurst: 48,
      },
    });
    for (let id = 1; id <= 3; id++) session.receive(['join', id, `room:${id}`]);
    session.endTurn();
    expect(session.socket.frames.at(-1)).toEqual([
      'error',
      3,
      'rate_limited',
      'too many joins a second: limits.joinsPerSecond is 10',
      { retryAfterMs: 100, limit: 'limits.joinsPerSecond' },
    ]);
    const twin = session.another(ANN);
    for (let id = 1; id <= 64; id++) twin.receive(Buffer.from(encodeCommand(['ping', id], encoding)));
    expect(session.metrics.limits['limits.joinsPerSecond']).toBe(1);
    expect(session.metrics.limits['limits.userCommandsPerSecond']).toBeGreaterThan(0);
  });

  it('has what waits counted until it is answered', () => {
    const session = new Session({ encoding });
    session.receive(['join', 1, 'a'], ['ping', 2]);
    expect(session.connection.requests).toBe(0);
  });
});

describe('a user with too many connections', () => {
  const full = () =>
    overLimit('limit_exceeded', 'too many connections of this user', 'limits.connectionsPerUser', 2, 5000);
  const authenticator = { authenticate: () => Promise.resolve(ANN) };

  it.each([
    ['is closed with 1013 where it must have one', false, [1013], 'error'],
    ['stays anonymous where it may be', true, [], 'ok'],
  ] as const)('presents its token in vain on one more, which %s', async (_, anonymous, codes, next) => {
    const session = new Session({ authenticator, anonymous, userFull: full });
    session.receive(['auth', 1, 'token'], ['ping', 2]);
    await new Promise(setImmediate);
    session.endTurn();
    expect(session.socket.frames[0]).toEqual([
      'error',
      1,
      'limit_exceeded',
      'too many connections of this user: limits.connectionsPerUser is 2',
      { retryAfterMs: 5000, limit: 'limits.connectionsPerUser' },
    ]);
    expect(session.socket.ends.map(({ code }) => code)).toEqual(codes);
    if (next === 'ok') expect(session.socket.frames[1]).toEqual(['ok', 2, {}]);
    expect(session.connection.identity).toBeNull();
  });

  it('may replace the token of a connection that counts already', async () => {
    const session = new Session({ authenticator, identity: ANN, userFull: full });
    session.receive(['auth', 1, 'token']);
    await new Promise(setImmediate);
    session.endTurn();
    expect(session.socket.frames.at(-1)![0]).toBe('ok');
  });
});
