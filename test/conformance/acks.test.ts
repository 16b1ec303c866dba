/** What every backplane promises about how far users have read. */
import { describe, expect, it } from 'vitest';
import type { AckPage } from '../../src/backplane/acks.ts';
import type { Backplane } from '../../src/backplane/backplane.ts';
import { Keys } from '../../src/backplane/redis/keys/keys.ts';
import { type Running, startRedis, type Times } from '../support/backplanes.ts';
import { KEPT, publishTiny } from '../support/frames.ts';
import { useBackplanes } from '../support/use-backplanes.ts';
import { waitFor } from '../support/wait.ts';

const used = useBackplanes({ cluster: 'long' });

/** Publishes so many messages; resolves with the room's epoch. */
async function fill(backplane: Backplane, room: string, messages: number): Promise<string> {
  const results = await Promise.all(
    Array.from({ length: messages }, (_, i) => publishTiny(backplane, room, `${i}`)),
  );
  return results[0]!.epoch;
}

function listed({ users }: AckPage): Record<string, number> {
  return Object.fromEntries(users.map(({ user, offset }) => [user, offset]));
}

describe.each(used.factories)('acks of the %s backplane', (_kind, startOne) => {
  async function start(times: Times = {}): Promise<Backplane> {
    const { backplane } = await startOne(times);
    used.open.push(backplane);
    return backplane;
  }

  it('keep the highest offset of each user, and a lower one changes nothing', async () => {
    const backplane = await start();
    const { acks } = backplane;
    const epoch = await fill(backplane, 'room', 10);
    expect(await acks.ack('room', KEPT, 'ann', [epoch, 4])).toEqual({ epoch, offset: 4, outcome: 'kept' });
    expect(await acks.ack('room', KEPT, 'ann', [epoch, 3])).toEqual({
      epoch,
      offset: 4,
      outcome: 'not_higher',
    });
    expect(await acks.ack('room', KEPT, 'ann', [epoch, 4])).toMatchObject({
      offset: 4,
      outcome: 'not_higher',
    });
    expect(await acks.ack('room', KEPT, 'ann', [epoch, 10])).toMatchObject({ offset: 10, outcome: 'kept' });
    expect(await acks.get('room', KEPT, 'ann')).toEqual({ epoch, offset: 10 });
    expect(await acks.get('room', KEPT, 'bob')).toEqual({ epoch, offset: null });
  });

  it('keep the highest of many at once, each room and user by itself', async () => {
    const backplane = await start();
    const rooms = ['a', 'b', 'c'];
    const users = ['ann', 'bob', 'żółć 🦊'];
    const epochs = await Promise.all(rooms.map((room) => fill(backplane, room, 300)));
    // More than one call to Redis carries, in no order.
    const all = rooms.flatMap((room, r) =>
      users.flatMap((user, u) =>
        Array.from({ length: 100 }, (_, i) =>
          backplane.acks.ack(room, KEPT, user, [epochs[r]!, ((i * 37) % 100) + 1 + 100 * u]),
        ),
      ),
    );
    const outcomes = (await Promise.all(all)).map(({ outcome }) => outcome);
    expect(new Set(outcomes)).toEqual(new Set(['kept', 'not_higher']));
    for (const room of rooms) {
      const offsets = await Promise.all(users.map((user) => backplane.acks.get(room, KEPT, user)));
      expect(offsets.map(({ offset }) => offset)).toEqual([100, 200, 300]);
    }
  });

  it('keep nothing for offset 0, and tell what is kept', async () => {
    const backplane = await start();
    const epoch = await fill(backplane, 'room', 2);
    expect(await backplane.acks.ack('room', KEPT, 'ann', [epoch, 0])).toEqual({
      epoch,
      offset: null,
      outcome: 'not_higher',
    });
    expect(await backplane.acks.list('room', KEPT, 0, 10)).toEqual({ epoch, offset: 2, count: 0, users: [] });
    await backplane.acks.ack('room', KEPT, 'ann', [epoch, 2]);
    expect(await backplane.acks.ack('room', KEPT, 'ann', [epoch, 0])).toMatchObject({ offset: 2 });
  });

  it('refuse what is beyond the newest message', async () => {
    const backplane = await start();
    const epoch = await fill(backplane, 'room', 2);
    const beyond = await backplane.acks.ack('room', KEPT, 'ann', [epoch, 3]);
    expect(beyond).toEqual({ epoch, offset: null, outcome: 'beyond' });
    expect(await backplane.acks.ack('room', KEPT, 'ann', [epoch, Number.MAX_SAFE_INTEGER])).toMatchObject({
      outcome: 'beyond',
    });
    expect(await backplane.acks.get('room', KEPT, 'ann')).toEqual({ epoch, offset: null });
  });

  it.each(['abcdefgh', '', 'x*y', 'a'.repeat(10_000), 'ABCDEFGH', '\u0000'])(
    'keep nothing for the epoch %j, and tell what is kept in the present one',
    async (other) => {
      const backplane = await start();
      const epoch = await fill(backplane, 'room', 5);
      await backplane.acks.ack('room', KEPT, 'ann', [epoch, 2]);
      const result = await backplane.acks.ack('room', KEPT, 'ann', [other, 4]);
      expect(result).toEqual({ epoch, offset: 2, outcome: 'other_epoch' });
      expect(await backplane.acks.get('room', KEPT, 'ann')).toEqual({ epoch, offset: 2 });
    },
  );

  it('end with the epoch', async () => {
    const backplane = await start();
    const epoch = await fill(backplane, 'room', 5);
    await backplane.acks.ack('room', KEPT, 'ann', [epoch, 5]);
    await backplane.renewEpoch('room', KEPT, epoch, 9);
    const { epoch: next } = await backplane.read('room', KEPT, { limit: 0 });
    expect(next).not.toBe(epoch);
    expect(await backplane.acks.get('room', KEPT, 'ann')).toEqual({ epoch: next, offset: null });
    expect(await backplane.acks.list('room', KEPT, 0, 10)).toMatchObject({ epoch: next, count: 0 });
    expect(await backplane.acks.ack('room', KEPT, 'ann', [epoch, 5])).toEqual({
      epoch: next,
      offset: null,
      outcome: 'other_epoch',
    });
    expect(await backplane.acks.ack('room', KEPT, 'ann', [next, 1])).toMatchObject({ outcome: 'kept' });
  });

  it('give a room its epoch where it has none', async () => {
    const backplane = await start();
    const { epoch, offset } = await backplane.acks.get('quiet', KEPT, 'ann');
    expect([epoch, offset]).toEqual([expect.stringMatching(/^[0-9a-z]{8}$/), null]);
    expect(await backplane.read('quiet', KEPT, { limit: 0 })).toMatchObject({ epoch, offset: 0 });
    expect(await backplane.acks.list('quiet', KEPT, null, 10)).toEqual({
      epoch,
      offset: 0,
      count: 0,
      users: [],
    });
  });

  it('keep where the room stands as the start of a user, once, 0 included', async () => {
    const backplane = await start();
    const { acks } = backplane;
    const { epoch } = await acks.get('room', KEPT, 'ann');
    expect(await acks.start('room', KEPT, 'ann')).toEqual({ epoch, offset: 0, isNew: true });
    expect(await acks.get('room', KEPT, 'ann')).toEqual({ epoch, offset: 0 });
    await fill(backplane, 'room', 3);
    expect(await acks.start('room', KEPT, 'ann')).toEqual({ epoch, offset: 0, isNew: false });
    expect(await acks.start('room', KEPT, 'bob')).toEqual({ epoch, offset: 3, isNew: true });
    expect(await acks.get('room', KEPT, 'bob')).toEqual({ epoch, offset: 3 });
    // A start is an ack like others: it grows, and is listed.
    expect(await acks.ack('room', KEPT, 'ann', [epoch, 2])).toEqual({ epoch, offset: 2, outcome: 'kept' });
    expect(await acks.start('room', KEPT, 'ann')).toEqual({ epoch, offset: 2, isNew: false });
    expect(listed(await acks.list('room', KEPT, 0, 10))).toEqual({ ann: 2, bob: 3 });
    await acks.ack('room', KEPT, 'eve', [epoch, 1]);
    expect(await acks.start('room', KEPT, 'eve')).toEqual({ epoch, offset: 1, isNew: false });
  });

  it('keep one start where several devices come at once', async () => {
    const backplane = await start();
    await fill(backplane, 'room', 2);
    const starts = await Promise.all(
      Array.from({ length: 20 }, () => backplane.acks.start('room', KEPT, 'ann')),
    );
    expect(starts.filter(({ isNew }) => isNew)).toHaveLength(1);
    expect(new Set(starts.map(({ offset }) => offset))).toEqual(new Set([2]));
  });

  it('end a start with the epoch', async () => {
    const backplane = await start();
    const epoch = await fill(backplane, 'room', 5);
    await backplane.acks.start('room', KEPT, 'ann');
    await backplane.renewEpoch('room', KEPT, epoch, 9);
    const { epoch: next, offset } = await backplane.acks.get('room', KEPT, 'ann');
    expect([next === epoch, offset]).toEqual([false, null]);
    expect(await backplane.acks.start('room', KEPT, 'ann')).toEqual({ epoch: next, offset: 5, isNew: true });
  });

  it('keep a start for as long as an ack', async () => {
    const backplane = await start({ acksTtlMs: 1000 });
    await backplane.acks.start('room', KEPT, 'ann');
    await waitFor(async () => (await backplane.acks.get('room', KEPT, 'ann')).offset === null);
    expect(await backplane.acks.start('room', KEPT, 'ann')).toMatchObject({ offset: 0, isNew: true });
  });

  it('keep the numbering that a start needs for as long as that of a room with messages, from its last use on', async () => {
    const backplane = await start({ emptyMetaTtlMs: 100, metaTtlMs: 1000 });
    const { epoch } = await backplane.acks.start('room', KEPT, 'ann');
    const uses: Record<string, () => Promise<unknown>> = {
      'a device that resumes': async () =>
        expect(await backplane.acks.start('room', KEPT, 'ann')).toEqual({ epoch, offset: 0, isNew: false }),
      'a node with members': async () =>
        expect(await backplane.read('room', KEPT, { limit: 0, begin: true })).toMatchObject({ epoch }),
    };
    for (const [who, use] of Object.entries(uses)) {
      const began = performance.now();
      await waitFor(async () => (await use()) !== false && performance.now() - began > 1400, {
        for: `more than its life with ${who}`,
        intervalMs: 50,
      });
    }
    const isOver = async () => (await backplane.read('room', KEPT, { limit: 0 })).epoch === '';
    await waitFor(isOver, { for: 'its end' });
  });

  it('list who has read up to an offset, highest first, and count those beyond the limit', async () => {
    const backplane = await start();
    const { acks } = backplane;
    const epoch = await fill(backplane, 'room', 10);
    const offsets = { ann: 10, bob: 7, cat: 3, dan: 10 };
    for (const [user, offset] of Object.entries(offsets)) await acks.ack('room', KEPT, user, [epoch, offset]);
    const all = await acks.list('room', KEPT, 0, 10);
    expect(all).toMatchObject({ epoch, offset: 10, count: 4 });
    expect(all.users.map(({ offset }) => offset)).toEqual([10, 10, 7, 3]);
    expect(listed(all)).toEqual(offsets);
    expect(listed(await acks.list('room', KEPT, 7, 10))).toEqual({ ann: 10, bob: 7, dan: 10 });
    expect(listed(await acks.list('room', KEPT, null, 10))).toEqual({ ann: 10, dan: 10 });
    expect(await acks.list('room', KEPT, 11, 10)).toEqual({ epoch, offset: 10, count: 0, users: [] });
    const short = await acks.list('room', KEPT, 0, 3);
    expect([short.count, short.users.length, short.users[2]]).toEqual([4, 3, { user: 'bob', offset: 7 }]);
  });

  it('are kept for a time from the last ack in the room on', async () => {
    const backplane = await start({ acksTtlMs: 1000 });
    const { acks } = backplane;
    const epoch = await fill(backplane, 'room', 50);
    await acks.ack('room', KEPT, 'ann', [epoch, 1]);
    const began = performance.now();
    let lastAckMs = began;
    let offset = 0;
    // Acks of another user keep those of the first alive for longer than they would last by themselves.
    await waitFor(
      async () => {
        lastAckMs = performance.now();
        await acks.ack('room', KEPT, 'bob', [epoch, ++offset % 50]);
        return lastAckMs - began >= 1400;
      },
      { intervalMs: 20 },
    );
    expect(await acks.get('room', KEPT, 'ann')).toMatchObject({ offset: 1 });
    await waitFor(async () => (await acks.get('room', KEPT, 'ann')).offset === null);
    // By two clocks, of which one counts whole milliseconds.
    expect(performance.now() - lastAckMs).toBeGreaterThan(990);
    expect(await acks.list('room', KEPT, 0, 10)).toMatchObject({ epoch, count: 0 });
  });

  it('answer unavailable when the backplane is closed', async () => {
    const backplane = await start();
    const epoch = await fill(backplane, 'room', 1);
    await backplane.close();
    const asked = [
      backplane.acks.ack('room', KEPT, 'ann', [epoch, 1]),
      backplane.acks.get('room', KEPT, 'ann'),
      backplane.acks.start('room', KEPT, 'ann'),
      backplane.acks.list('room', KEPT, 0, 1),
    ];
    const unavailable = { code: 'unavailable' };
    await Promise.all(asked.map((answer) => expect(answer).rejects.toMatchObject(unavailable)));
  });
});

describe('acks in Redis', () => {
  async function start(keyPrefix: string): Promise<Running> {
    const running = await startRedis(used.server.url, { keyPrefix, partitions: 4 });
    used.open.push(running.backplane);
    return running;
  }

  it('of one tick share one call, whatever their rooms', async () => {
    const { backplane } = await start('batch');
    const epochs = await Promise.all(['a', 'b', 'c'].map((room) => fill(backplane, room, 10)));
    const before = await used.server.calls('evalsha');
    await Promise.all(
      Array.from({ length: 90 }, (_, i) =>
        backplane.acks.ack('abc'[i % 3]!, KEPT, `u${i}`, [epochs[i % 3]!, 5]),
      ),
    );
    expect((await used.server.calls('evalsha')) - before).toBe(1);
  });

  it('are one sorted set for each room and epoch, with the life that was asked for', async () => {
    const { backplane } = await start('layout-acks');
    const epoch = await fill(backplane, 'room', 10);
    await backplane.acks.ack('room', KEPT, 'ann', [epoch, 7]);
    const key = new Keys('layout-acks', 4).acks('room', epoch);
    expect(await used.server.client.call('ZRANGE', key, 0, -1, 'WITHSCORES')).toEqual(['ann', '7']);
    const life = Number(await used.server.client.pttl(key));
    expect(life).toBeGreaterThan(50_000);
    expect(life).toBeLessThanOrEqual(60_000);
  });

  it('fail for the one room whose acks are of another type, and are kept for all others of the call', async () => {
    const { backplane } = await start('wrong-acks');
    const [good, bad] = [await fill(backplane, 'good', 5), await fill(backplane, 'bad', 5)];
    await used.server.client.set(new Keys('wrong-acks', 4).acks('bad', bad), 'not a sorted set');
    const acks = [
      backplane.acks.ack('good', KEPT, 'ann', [good, 1]),
      backplane.acks.ack('bad', KEPT, 'ann', [bad, 2]),
      backplane.acks.ack('good', KEPT, 'bob', [good, 3]),
    ];
    await expect(acks[1]).rejects.toMatchObject({ message: expect.stringContaining('WRONGTYPE') });
    expect(await Promise.all([acks[0], acks[2]])).toMatchObject([{ offset: 1 }, { offset: 3 }]);
  });

  it('are the same through every node, also after the store was flushed', async () => {
    const [one, other] = [await start('nodes'), await start('nodes')].map(({ backplane }) => backplane);
    const epoch = await fill(one!, 'room', 10);
    await one!.acks.ack('room', KEPT, 'ann', [epoch, 7]);
    expect(await other!.acks.get('room', KEPT, 'ann')).toEqual({ epoch, offset: 7 });
    await used.server.client.flushall();
    const fresh = await other!.acks.get('room', KEPT, 'ann');
    expect(fresh.offset).toBeNull();
    expect(fresh.epoch).not.toBe(epoch);
    expect(await one!.acks.ack('room', KEPT, 'ann', [epoch, 8])).toEqual({
      ...fresh,
      outcome: 'other_epoch',
    });
  });
});
