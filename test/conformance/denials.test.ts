/** Who is kept out, as the store keeps it, and histories that are dropped: both backplanes do the same. */
import { describe, expect, it } from 'vitest';
import { ALL_PERMITTED } from '../../src/auth/identity.ts';
import { memberSubject } from '../../src/node/denial-table.ts';
import { Denied } from '../../src/node/denied.ts';
import { revokedSubject } from '../../src/node/revoked.ts';
import { silentLog } from '../../src/util/log.ts';
import { systemScheduler } from '../../src/util/scheduler.ts';
import { type Running, redisOptions, startRedis, type Times } from '../support/backplanes.ts';
import { listsOf, lostDenial } from '../support/denial-lists.ts';
import { KEPT, publishTiny, textsOf, UNKEPT } from '../support/frames.ts';
import { RedisServer } from '../support/redis.ts';
import { useBackplanes } from '../support/use-backplanes.ts';
import { waitFor } from '../support/wait.ts';

const used = useBackplanes();

describe.each(used.factories)('the %s backplane', (_kind, startOne) => {
  async function start(times: Times = {}): Promise<Running> {
    const running = await startOne(times);
    used.open.push(running.backplane);
    return running;
  }

  describe('denials', () => {
    it('are kept until they end', async () => {
      const { denials } = (await start()).backplane;
      expect(listsOf(await denials.read())).toEqual({ denied: [], lifted: [] });
      expect(await denials.deny('long', 60_000)).toBeGreaterThan(0);
      expect(await denials.deny('short: ü*', 40)).toBeGreaterThan(0);
      await waitFor(async () => listsOf(await denials.read()).denied.length === 1, {
        for: 'the short one to end',
      });
      const { denied, lifted } = listsOf(await denials.read());
      expect(denied.map(({ subject }) => subject)).toEqual(['long']);
      expect(denied[0]!.leftMs).toBeGreaterThan(50_000);
      expect(denied[0]!.leftMs).toBeLessThanOrEqual(60_000);
      expect(lifted).toEqual([]);
    });

    it('take the newest end', async () => {
      const { denials } = (await start()).backplane;
      await denials.deny('one', 60_000);
      await denials.deny('one', 20_000);
      const { denied } = listsOf(await denials.read());
      expect(denied).toHaveLength(1);
      expect(denied[0]!.leftMs).toBeLessThanOrEqual(20_000);
    });

    it('are remembered when they are lifted, and may be denied again', async () => {
      const { denials } = (await start()).backplane;
      await denials.deny('one', 60_000);
      // It would have lasted longer than the caller knew.
      await denials.lift('one', 1);
      expect(listsOf(await denials.read())).toEqual({ denied: [], lifted: ['one'] });
      await denials.deny('one', 60_000);
      expect(listsOf(await denials.read()).lifted).toEqual([]);
      expect(listsOf(await denials.read()).denied).toHaveLength(1);
    });

    it('are read in full when there are many, also of those that end at the same time', async () => {
      const { denials } = (await start()).backplane;
      const subjects = Array.from({ length: 3_500 }, (_, i) => `s${i}`);
      await denials.restore(subjects.map((subject) => lostDenial(subject, 60_000)));
      await denials.deny('later', 70_000);
      await denials.lift('s7', 60_000);
      const { denied, lifted } = listsOf(await denials.read());
      const read = denied.map(({ subject }) => subject);
      expect(read.sort()).toEqual([...subjects.filter((subject) => subject !== 's7'), 'later'].sort());
      expect(lifted).toEqual(['s7']);
    });

    it('are restored where the store knows nothing of them, and not where they were lifted', async () => {
      const { denials } = (await start()).backplane;
      await denials.deny('known', 20_000);
      await denials.lift('lifted', 20_000);
      await denials.restore([
        lostDenial('known', 60_000),
        lostDenial('lifted', 60_000),
        lostDenial('lost', 60_000),
      ]);
      const { denied, lifted } = listsOf(await denials.read());
      expect(denied.map(({ subject }) => subject).sort()).toEqual(['known', 'lost']);
      expect(denied.find(({ subject }) => subject === 'known')!.leftMs).toBeLessThanOrEqual(20_000);
      expect(lifted).toEqual(['lifted']);
    });

    it('have a later time with each change, and an earlier change never replaces a later one', async () => {
      const { denials } = (await start()).backplane;
      const first = (await denials.deny('one', 60_000))!;
      const second = await denials.lift('one', 60_000);
      const third = (await denials.deny('one', 50_000))!;
      expect(second).toBeGreaterThan(first);
      expect(third).toBeGreaterThan(second);
      // A node may know of changes that the store has lost.
      expect(await denials.deny('one', 40_000, third + 5_000)).toBe(third + 5_001);
      const change = (leftMs: number, isLifted: boolean, changedAtMs: number) => ({
        ...{ subject: 'one', leftMs, isLifted, changedAtMs },
      });
      await denials.restore([change(60_000, true, second), change(60_000, false, third)]);
      expect(listsOf(await denials.read())).toMatchObject({ denied: [{ subject: 'one' }], lifted: [] });
      expect((await denials.read())[0]!.leftMs).toBeLessThanOrEqual(40_000);
      await denials.restore([change(60_000, true, third + 5_002)]);
      expect(listsOf(await denials.read())).toEqual({ denied: [], lifted: ['one'] });
      await denials.restore([change(60_000, false, third + 5_003)]);
      expect((await denials.read())[0]!.leftMs).toBeGreaterThan(50_000);
    });

    it('are restored where the store has only one that has ended', async () => {
      const { denials } = (await start()).backplane;
      const changedAtMs = (await denials.deny('one', 1))!;
      await waitFor(async () => (await denials.read()).length === 0, { for: 'it to end' });
      await denials.restore([
        { subject: 'one', leftMs: 60_000, isLifted: false, changedAtMs: changedAtMs + 1 },
      ]);
      expect((await denials.read())[0]!.leftMs).toBeGreaterThan(50_000);
    });

    it('are no more than the limit, with those that were lifted; those that are known may be changed', async () => {
      const { denials } = (await start({ maxDenials: 3 })).backplane;
      expect(await denials.deny('short', 60_000)).toBeGreaterThan(0);
      expect(await denials.deny('one', 60_000)).toBeGreaterThan(0);
      await denials.lift('one', 60_000);
      expect(await denials.deny('two', 60_000)).toBeGreaterThan(0);
      expect(await denials.deny('too many', 60_000)).toBeNull();
      expect(await denials.deny('two', 30_000)).toBeGreaterThan(0);
      expect(await denials.deny('one', 60_000)).toBeGreaterThan(0);
      expect(await denials.deny('short', 40)).toBeGreaterThan(0);
      await waitFor(() => denials.deny('three', 60_000), { for: 'the short one to make room' });
      expect(await denials.deny('too many', 60_000)).toBeNull();
      expect(
        listsOf(await denials.read())
          .denied.map(({ subject }) => subject)
          .sort(),
      ).toEqual(['one', 'three', 'two']);
    });

    it('are restored and lifted beyond the limit: what a node knows is not dropped', async () => {
      const { denials } = (await start({ maxDenials: 1 })).backplane;
      await denials.restore(['a', 'b', 'c'].map((subject) => lostDenial(subject, 60_000)));
      await denials.lift('d', 60_000);
      expect(listsOf(await denials.read()).denied).toHaveLength(3);
      expect(listsOf(await denials.read()).lifted).toEqual(['d']);
      expect(await denials.deny('e', 60_000)).toBeNull();
    });
  });

  describe('what nodes revoke', () => {
    const of = (user: string, tokenId: string) => ({
      user,
      tokenId,
      expiresAtMs: null,
      permissions: ALL_PERMITTED,
    });
    const [USER, TOKEN] = [
      { kind: 'user', id: 'änn*:' },
      { kind: 'token', id: 'login-17 ü' },
    ] as const;

    it('is known to a node that starts later, apart from who is kept out of rooms, until it ends or is ended', async () => {
      const { denials } = (await start()).backplane;
      const learned: string[] = [];
      const node = () =>
        new Denied({
          denials,
          scheduler: systemScheduler,
          log: silentLog,
          learned: (room, user) => learned.push(`${user} in ${room}`),
          learnedRevoked: ({ kind, id }) => learned.push(`${kind} ${id}`),
          restored: () => learned.push('restored'),
        });
      await denials.deny(memberSubject('room', 'bob'), 60_000);
      await denials.deny(revokedSubject(USER), 60_000);
      await denials.deny(revokedSubject(TOKEN), 60_000);
      const denied = node();
      await denied.load();
      expect(learned.sort()).toEqual(['bob in room', 'token login-17 ü', 'user änn*:']);
      const revoked = () =>
        [of('änn*:', 'x'), of('bob', 'login-17 ü'), of('bob', 'x')].map((one) => denied.isRevoked(one));
      expect(revoked()).toEqual([true, true, false]);
      await denials.lift(revokedSubject(USER), 1);
      await denied.load();
      expect(revoked()).toEqual([false, true, false]);
      await denials.deny(revokedSubject(TOKEN), 30);
      await denied.load();
      await waitFor(() => !revoked()[1], { for: 'it to end' });
      await denied.load();
      expect(denied.counts).toEqual({ user: 0, token: 0 });
      expect(learned).toHaveLength(3);
    });
  });

  describe('clearing a history', () => {
    it('drops the messages, and numbers go on in a new epoch', async () => {
      const { backplane } = await start();
      const { epoch } = await publishTiny(backplane, 'room', 'a');
      await publishTiny(backplane, 'room', 'b');
      await publishTiny(backplane, 'other', 'c');
      const cleared = await backplane.clearHistory('room', KEPT);
      expect(cleared.offset).toBe(2);
      expect(cleared.epoch).toMatch(/^[0-9a-z]{8}$/);
      expect(cleared.epoch).not.toBe(epoch);
      expect(await backplane.read('room', KEPT, { limit: 10 })).toMatchObject({
        ...cleared,
        envelopes: [],
      });
      const next = await publishTiny(backplane, 'room', 'd');
      expect(next).toMatchObject({ epoch: cleared.epoch, offset: 3 });
      expect(textsOf((await backplane.read('room', KEPT, { limit: 10 })).envelopes)).toEqual(['d']);
      expect(textsOf((await backplane.read('other', KEPT, { limit: 10 })).envelopes)).toEqual(['c']);
    });

    it('of a room without numbering begins none', async () => {
      const { backplane } = await start();
      expect(await backplane.clearHistory('unused', KEPT)).toMatchObject({ epoch: '', offset: 0 });
      expect(await backplane.clearHistory('unkept', UNKEPT)).toMatchObject({ epoch: '', offset: 0 });
      expect(await backplane.read('unused', KEPT, { limit: 0 })).toMatchObject({ epoch: '' });
    });

    it('ends what users have acknowledged', async () => {
      const { backplane } = await start();
      const { epoch } = await publishTiny(backplane, 'room', 'a');
      await backplane.acks.ack('room', KEPT, 'ann', [epoch, 1]);
      const cleared = await backplane.clearHistory('room', KEPT);
      expect(await backplane.acks.get('room', KEPT, 'ann')).toEqual({ epoch: cleared.epoch, offset: null });
    });
  });

  it('tells how many nodes listen to a room', async () => {
    const { backplane } = await start();
    expect(await backplane.subscribers('room')).toBe(0);
    await backplane.subscribe('room');
    expect(await backplane.subscribers('room')).toBe(1);
    backplane.unsubscribe('room');
    await waitFor(async () => (await backplane.subscribers('room')) === 0, { for: 'it to be unsubscribed' });
  });

  it('refuses all of it once it is closed', async () => {
    const { backplane } = await start();
    await backplane.close();
    const unavailable = { code: 'unavailable' };
    await expect(backplane.denials.deny('one', 1_000)).rejects.toMatchObject(unavailable);
    await expect(backplane.denials.read()).rejects.toMatchObject(unavailable);
    await expect(backplane.clearHistory('room', KEPT)).rejects.toMatchObject(unavailable);
    await expect(backplane.subscribers('room')).rejects.toMatchObject(unavailable);
  });
});

describe('a cleared history in Redis', () => {
  it('leaves a log that expires as any other', async () => {
    const { keyPrefix } = redisOptions('');
    const { backplane } = await startRedis(used.server.url, { keyPrefix });
    used.open.push(backplane);
    await publishTiny(backplane, 'room', 'a');
    const [log] = await used.server.client.keys(`${keyPrefix}:*log*`);
    const before = await used.server.client.pttl(log!);
    expect(before).toBeGreaterThan(0);
    await backplane.clearHistory('room', KEPT);
    await publishTiny(backplane, 'room', 'b');
    const after = await used.server.client.pttl(log!);
    expect(after).toBeGreaterThan(0);
    expect(after).toBeLessThanOrEqual(KEPT.ageMs * 1.1);
  });

  it('is dropped by a Redis that is full too: nothing else makes room at once', async () => {
    const { backplane } = await startRedis(used.server.url);
    used.open.push(backplane);
    await publishTiny(backplane, 'room', 'a');
    await used.server.client.config('SET', 'maxmemory', '1');
    try {
      expect(await backplane.clearHistory('room', KEPT)).toMatchObject({ offset: 1 });
    } finally {
      await used.server.client.config('SET', 'maxmemory', '0');
    }
    expect((await backplane.read('room', KEPT, { limit: 10 })).envelopes).toEqual([]);
  });
});

describe('the denials in Redis', () => {
  it('are seen by every node, and leave nothing behind when they end', async () => {
    const { keyPrefix } = redisOptions('');
    const nodes = [
      await startRedis(used.server.url, { keyPrefix }),
      await startRedis(used.server.url, { keyPrefix }),
    ];
    used.open.push(...nodes.map(({ backplane }) => backplane));
    await nodes[0]!.backplane.denials.deny('one', 300);
    expect(listsOf(await nodes[1]!.backplane.denials.read()).denied.map(({ subject }) => subject)).toEqual([
      'one',
    ]);
    const keys = async () => used.server.client.keys(`${keyPrefix}:*denials*`);
    expect(await keys()).toHaveLength(2);
    await waitFor(async () => (await keys()).length === 0, { for: 'the keys to expire' });
  });

  it.each(['lifted', 'shorter', 'ended'])(
    'are what nodes know where Redis comes back from a disk on which the subject is %s',
    async (before) => {
      const server = await RedisServer.start();
      const port = await startRedis(server.url);
      const node = () =>
        new Denied({
          denials: port.backplane.denials,
          scheduler: systemScheduler,
          log: silentLog,
          learned: () => undefined,
          learnedRevoked: () => undefined,
          restored: () => undefined,
        });
      const subject = memberSubject('room', 'ann');
      try {
        const { denials } = port.backplane;
        await denials.deny(subject, before === 'ended' ? 300 : 20_000);
        if (before === 'lifted') await denials.lift(subject, 20_000);
        // So that the key outlives it.
        await denials.deny('another', 60_000);
        await server.client.save();
        if (before === 'ended') {
          await waitFor(async () => (await denials.read()).length === 1, { for: 'it to end' });
        }
        const witness = node();
        await denials.deny(subject, 60_000);
        await witness.load();
        await server.kill();
        await server.restart();
        await waitFor(() => port.backplane.status().ready, { for: 'the links' });
        await witness.load();
        expect(witness.leftMs('ann', 'room')).toBeGreaterThan(40_000);
        const later = node();
        await later.load();
        expect(later.leftMs('ann', 'room')).toBeGreaterThan(40_000);
      } finally {
        await port.backplane.close();
        await server.dispose();
      }
    },
  );
});
