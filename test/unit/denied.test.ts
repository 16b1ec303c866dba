/** A node's copy of who is kept out: what it knows after a start, a message, and a time without a link. */
import { beforeEach, describe, expect, it } from 'vitest';
import { unavailable } from '../../src/backplane/backplane.ts';
import type { DenialList, Denials } from '../../src/backplane/denials.ts';
import { MemoryDenials } from '../../src/backplane/memory/memory-denials.ts';
import { Denied, memberSubject } from '../../src/node/denied.ts';
import { silentLog } from '../../src/util/log.ts';
import { FakeScheduler } from '../support/fake-scheduler.ts';

let scheduler: FakeScheduler;
let store: MemoryDenials;
let learned: string[];
/** Called before a read of the store is answered. */
let meanwhile: () => Promise<void> | void;
let failures: number;

function node(): Denied {
  const denials: Denials = {
    deny: (subject, forMs) => store.deny(subject, forMs),
    lift: (subject, leftMs) => store.lift(subject, leftMs),
    restore: (denied) => store.restore(denied),
    async read(): Promise<DenialList> {
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
    expect(denied.count).toBe(0);
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
    expect((await store.read()).denied).toEqual([]);
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
    expect((await store.read()).denied).toEqual([
      { subject: ANN, leftMs: 4_000 },
      { subject: 't:token-7', leftMs: 4_000 },
    ]);
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
