/** A node's copy of who is kept out: what it knows after a start, a message, and a time without a link. */
import { beforeEach, describe, expect, it } from 'vitest';
import { ALL_PERMITTED } from '../../src/auth/identity.ts';
import { unavailable } from '../../src/backplane/backplane.ts';
import type { Denial, Denials } from '../../src/backplane/denials.ts';
import { MemoryDenials } from '../../src/backplane/memory/memory-denials.ts';
import { memberSubject } from '../../src/node/denial-table.ts';
import { Denied } from '../../src/node/denied.ts';
import { revokedOf, revokedSubject } from '../../src/node/revoked.ts';
import { silentLog } from '../../src/util/log.ts';
import { listsOf } from '../support/denial-lists.ts';
import { FakeScheduler } from '../support/fake-scheduler.ts';

let scheduler: FakeScheduler;
let store: MemoryDenials;
let learned: string[];
/** Called before a read of the store is answered. */
let meanwhile: () => Promise<void> | void;
let failures: number;

function node(): Denied {
  const denials: Denials = {
    deny: (...change) => store.deny(...change),
    lift: (...change) => store.lift(...change),
    restore: (denied) => store.restore(denied),
    async read(): Promise<readonly Denial[]> {
      if (failures-- > 0) throw unavailable('denials', 'away');
      const list = await store.read();
      await meanwhile();
      return list;
    },
  };
  return new Denied({
    denials,
    scheduler,
    log: silentLog,
    learned: (room, user) => learned.push(`${user} in ${room}`),
    learnedRevoked: ({ kind, id }) => learned.push(`${kind} ${id}`),
    restored: () => learned.push('restored'),
  });
}

const ANN = memberSubject('chat', 'ann');
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

beforeEach(() => {
  scheduler = new FakeScheduler();
  store = new MemoryDenials(scheduler);
  learned = [];
  meanwhile = () => undefined;
  failures = 0;
});

describe('a copy', () => {
  it('knows who is kept out of which room, and for how long', async () => {
    const denied = node();
    denied.deny(ANN, 1_000);
    denied.deny(memberSubject('chat', 'b*b'), 2_000);
    expect(denied.leftMs('ann', 'chat')).toBe(1_000);
    expect(denied.leftMs('b*b', 'chat')).toBe(2_000);
    expect(denied.leftMs('ann', 'other')).toBe(0);
    expect(denied.leftMs('bob', 'chat')).toBe(0);
    await scheduler.pass(400, settle);
    expect(denied.leftMs('ann', 'chat')).toBe(600);
    await scheduler.pass(600, settle);
    expect(denied.leftMs('ann', 'chat')).toBe(0);
    denied.lift(memberSubject('chat', 'b*b'));
    expect(denied.leftMs('b*b', 'chat')).toBe(0);
  });

  it('forgets what has ended', async () => {
    const denied = node();
    denied.deny(ANN, 1_000);
    await scheduler.pass(61_000, settle);
    denied.sweep();
    expect(denied.keptOutCount).toBe(0);
  });

  it('is what the store has at the start, and whoever is learned of is told', async () => {
    await store.deny(ANN, 5_000);
    const denied = node();
    await denied.load();
    expect(denied.leftMs('ann', 'chat')).toBe(5_000);
    expect(learned).toEqual(['ann in chat']);
    await denied.load();
    expect(learned).toHaveLength(1);
  });

  it('has what was said while it was made', async () => {
    await store.deny(ANN, 5_000);
    const denied = node();
    meanwhile = () => {
      denied.lift(ANN);
      denied.deny(memberSubject('chat', 'bob'), 3_000);
    };
    await denied.load();
    expect(denied.leftMs('ann', 'chat')).toBe(0);
    expect(denied.leftMs('bob', 'chat')).toBe(3_000);
    // The messages were carried out when they came.
    expect(learned).toEqual([]);
  });

  it('is the last that was asked for', async () => {
    const denied = node();
    let second: Promise<void> | null = null;
    meanwhile = async () => {
      if (second !== null) return;
      await store.deny(ANN, 5_000);
      second = denied.load();
    };
    await denied.load();
    await second;
    expect(denied.leftMs('ann', 'chat')).toBe(5_000);
  });
});

describe('after a lost link', () => {
  it('knows what was lifted meanwhile', async () => {
    await store.deny(ANN, 5_000);
    const denied = node();
    await denied.load();
    await store.lift(ANN, 5_000);
    await denied.load();
    expect(denied.leftMs('ann', 'chat')).toBe(0);
    expect(listsOf(await store.read()).denied).toEqual([]);
  });

  it('learns of a user who was kept out before, was back, and was removed again meanwhile', async () => {
    await store.deny(ANN, 1_000);
    const denied = node();
    await denied.load();
    learned = [];
    await scheduler.pass(2_000, settle);
    await store.deny(ANN, 60_000);
    await denied.load();
    expect(denied.leftMs('ann', 'chat')).toBe(60_000);
    expect(learned).toEqual(['ann in chat']);
  });

  it('gives back to the store what it lost, of whatever kind', async () => {
    await store.deny(ANN, 5_000);
    await store.deny('t:token-7', 5_000);
    const denied = node();
    await denied.load();
    store = new MemoryDenials(scheduler);
    await scheduler.pass(1_000, settle);
    await denied.load();
    expect(denied.leftMs('ann', 'chat')).toBe(4_000);
    expect(listsOf(await store.read()).denied).toEqual([
      { subject: ANN, leftMs: 4_000 },
      { subject: 't:token-7', leftMs: 4_000 },
    ]);
    // Another node may have read the store in between.
    expect(learned.at(-1)).toBe('restored');
  });

  it.each(['shorter', 'lifted', 'ended', 'longer'])(
    'has the later change where the store came back from an older disk, on which the subject is %s',
    async (before) => {
      await store.deny(ANN, before === 'longer' ? 90_000 : 5_000);
      if (before === 'lifted') await store.lift(ANN, 5_000);
      if (before === 'ended') await scheduler.pass(6_000, settle);
      const disk = await store.read();
      const denied = node();
      await store.deny(ANN, 60_000);
      await denied.load();
      store = new MemoryDenials(scheduler);
      await store.restore(disk);
      await denied.load();
      expect(denied.leftMs('ann', 'chat')).toBe(60_000);
      const later = node();
      await later.load();
      expect(later.leftMs('ann', 'chat')).toBe(60_000);
    },
  );

  it('lets a user back in where the store came back from a disk that has the denial, and not that it was lifted', async () => {
    await store.deny(ANN, 60_000);
    const disk = await store.read();
    const denied = node();
    await denied.load();
    denied.lift(ANN, await store.lift(ANN, 60_000));
    store = new MemoryDenials(scheduler);
    await store.restore(disk);
    await denied.load();
    expect(denied.leftMs('ann', 'chat')).toBe(0);
    expect(listsOf(await store.read())).toEqual({ denied: [], lifted: [ANN] });
    expect(denied.keptOutCount).toBe(0);
  });

  it('keeps the later of two changes that are told in another order', () => {
    const denied = node();
    denied.deny(ANN, 60_000, 2_000);
    denied.lift(ANN, 1_000);
    expect(denied.leftMs('ann', 'chat')).toBe(60_000);
    denied.lift(ANN, 3_000);
    denied.deny(ANN, 60_000, 2_500);
    expect(denied.leftMs('ann', 'chat')).toBe(0);
    // An earlier version does not tell the time: what comes is taken for later.
    denied.deny(ANN, 60_000);
    expect(denied.leftMs('ann', 'chat')).toBe(60_000);
  });

  it('tries again until the store answers, and keeps what it knows', async () => {
    await store.deny(ANN, 60_000);
    const denied = node();
    await denied.load();
    await store.deny(memberSubject('chat', 'bob'), 60_000);
    failures = 2;
    denied.reload();
    await settle();
    expect(denied.leftMs('ann', 'chat')).toBe(60_000);
    expect(denied.leftMs('bob', 'chat')).toBe(0);
    await scheduler.pass(2_000, settle);
    expect(denied.leftMs('bob', 'chat')).toBeGreaterThan(0);
  });

  it('is tried by one timer, however often the links come back, and by none once the node has stopped', async () => {
    const denied = node();
    failures = Number.POSITIVE_INFINITY;
    denied.reload();
    denied.reload();
    await settle();
    expect(scheduler.timers).toBe(1);
    denied.reload();
    denied.stop();
    await settle();
    expect(scheduler.timers).toBe(0);
  });
});

describe('what is revoked', () => {
  const TOKEN = revokedSubject({ kind: 'token', id: 'x-1' });
  const USER = revokedSubject({ kind: 'user', id: 'ann' });
  const has = (denied: Denied, user: string, tokenId?: string) =>
    denied.isRevoked({
      user,
      expiresAtMs: null,
      permissions: ALL_PERMITTED,
      ...(tokenId === undefined ? {} : { tokenId }),
    });

  it('is a user with any token, or one token of anyone, until it ends or is ended', async () => {
    const denied = node();
    denied.deny(TOKEN, 1_000);
    denied.deny(USER, 2_000);
    expect([has(denied, 'ann'), has(denied, 'ann', 'y'), has(denied, 'bob', 'x-1')]).toEqual([
      true,
      true,
      true,
    ]);
    expect([has(denied, 'bob'), has(denied, 'bob', 'ann'), has(denied, 'x-1')]).toEqual([
      false,
      false,
      false,
    ]);
    expect(denied.counts).toEqual({ user: 1, token: 1 });
    await scheduler.pass(1_000, settle);
    expect([has(denied, 'bob', 'x-1'), has(denied, 'ann')]).toEqual([false, true]);
    denied.lift(USER);
    expect([has(denied, 'ann'), denied.counts.user]).toEqual([false, 0]);
  });

  it('is counted apart from who is kept out of rooms, also by a copy that is made anew', async () => {
    const denied = node();
    for (const subject of [ANN, TOKEN, USER]) await store.deny(subject, 5_000);
    for (let n = 0; n < 2; n++) {
      await denied.load();
      denied.deny(USER, 5_000);
      expect([denied.keptOutCount, denied.counts]).toEqual([1, { user: 1, token: 1 }]);
    }
    expect(learned).toEqual(['ann in chat', 'token x-1', 'user ann']);
    expect(denied.revocations(null)).toEqual([
      { kind: 'token', id: 'x-1', leftMs: 5_000 },
      { kind: 'user', id: 'ann', leftMs: 5_000 },
    ]);
    expect(denied.revocations({ kind: 'user', id: 'bob' })).toEqual([]);
    expect(denied.revocations({ kind: 'user', id: 'ann' })).toHaveLength(1);
  });

  it('is read again a minute later, and soon after a node has given back to the store what it lost, once', async () => {
    const denied = node();
    let reads = 0;
    meanwhile = () => void reads++;
    await store.deny(USER, 3_600_000);
    denied.sweep();
    await scheduler.pass(60_000, settle);
    denied.sweep();
    await settle();
    expect([has(denied, 'ann'), reads]).toEqual([true, 1]);
    for (let n = 0; n < 5; n++) denied.readAgain();
    await scheduler.pass(1_000, settle);
    expect(reads).toBe(2);
  });

  it('is what a node asks for about a user or token of any name', () => {
    for (const id of ['ü*', 'u:', 't:x', 'r:room*ann']) {
      for (const kind of ['user', 'token'] as const) {
        expect(revokedOf(revokedSubject({ kind, id }))).toEqual({ kind, id });
      }
    }
    expect(revokedOf(ANN)).toBeNull();
  });
});
