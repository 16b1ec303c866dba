/** What presence promises on every backplane: one suite over memory, a Redis and a Redis Cluster. */
import { describe, expect, it } from 'vitest';
import type { PresenceEntry } from '../../src/backplane/presence.ts';
import { packValue } from '../../src/protocol/msgpack/values.ts';
import { enterMany, entryOf, type PresentNode, startPresence } from '../support/presence.ts';
import { chaosSeed, Random } from '../support/random.ts';
import { useBackplanes } from '../support/use-backplanes.ts';
import { waitFor } from '../support/wait.ts';

const used = useBackplanes();

describe.each(used.factories)('presence on the %s backplane', (_kind, startOne) => {
  async function start(...rooms: string[]): Promise<PresentNode> {
    const running = await startOne();
    used.open.push(running.backplane);
    for (const room of rooms) await running.backplane.subscribe(room);
    return startPresence(running);
  }

  describe('listing', () => {
    it('shows an empty room as empty', async () => {
      const { backplane } = await start();
      expect(await backplane.presence.list('room', 10)).toEqual({
        count: 0,
        users: 0,
        members: [],
        next: null,
      });
    });

    it('shows at once what the node has entered before, and no longer what has left', async () => {
      const node = await start();
      const { presence } = node.backplane;
      presence.enter('room', entryOf(node, 1, 'ann'), true);
      presence.enter('room', entryOf(node, 2, 'bob'), true);
      expect((await presence.list('room', 10)).members).toHaveLength(2);
      presence.leave('room', entryOf(node, 1, 'ann'), true);
      const page = await presence.list('room', 10);
      expect(page).toEqual({ count: 1, users: 1, members: [entryOf(node, 2, 'bob')], next: null });
    });

    it('counts several connections of a user as several members and one user', async () => {
      const node = await start();
      const { presence } = node.backplane;
      for (const n of [1, 2, 3]) presence.enter('room', entryOf(node, n, 'ann'), false);
      presence.enter('room', entryOf(node, 4, 'bob'), false);
      presence.enter('room', entryOf(node, 5, null), false);
      expect(await presence.list('room', 10)).toMatchObject({ count: 5, users: 2 });
      presence.leave('room', entryOf(node, 1, 'ann'), false);
      presence.leave('room', entryOf(node, 4, 'bob'), false);
      expect(await presence.list('room', 10)).toMatchObject({ count: 3, users: 1 });
    });

    it('keeps rooms apart', async () => {
      const node = await start();
      enterMany(node, 'a', 3);
      enterMany(node, 'b', 1);
      expect(await node.backplane.presence.list('a', 10)).toMatchObject({ count: 3 });
      expect(await node.backplane.presence.list('b', 10)).toMatchObject({ count: 1 });
    });

    it('carries info of every shape, and tells none from null', async () => {
      const node = await start();
      const { presence } = node.backplane;
      const infos = [{ name: 'Zoë', tags: ['a', { b: 1.5 }] }, null, 'text', 0, [new Uint8Array([1, 2])]];
      for (const [n, info] of infos.entries()) presence.enter('room', { ...entryOf(node, n), info }, false);
      presence.enter('room', entryOf(node, 9), false);
      const { members } = await presence.list('room', 10);
      const byConnection = new Map(members.map((member) => [member.connection, member]));
      expect(infos.map((_, n) => byConnection.get(`${node.nodeId}-${n}`)!.info)).toEqual(infos);
      expect(byConnection.get(`${node.nodeId}-9`)).not.toHaveProperty('info');
    });

    it('stops at the limit and says so', async () => {
      const node = await start();
      const { presence } = node.backplane;
      enterMany(node, 'room', 700, false);
      const page = await presence.list('room', 50);
      expect(page).toMatchObject({ count: 700, users: 700, next: page.members.at(-1)!.connection });
      expect(new Set(page.members.map(({ connection }) => connection)).size).toBe(50);
      expect((await presence.list('room', 50)).members).toEqual(page.members);
      const all = await presence.list('room', 700);
      expect(all.next).toBeNull();
      expect(new Set(all.members.map(({ connection }) => connection)).size).toBe(700);
      expect(await presence.list('room', 0)).toMatchObject({ count: 700, members: [], next: '' });
    });

    it('takes the newer of two entries of a connection', async () => {
      const node = await start('room');
      const { presence } = node.backplane;
      presence.enter('room', entryOf(node, 1, 'ann'), true);
      presence.enter('room', entryOf(node, 1, 'bob'), true);
      expect(await presence.list('room', 10)).toMatchObject({
        count: 1,
        users: 1,
        members: [entryOf(node, 1, 'bob')],
      });
      presence.leave('room', entryOf(node, 1, 'bob'), true);
      expect(await presence.list('room', 10)).toMatchObject({ count: 0, users: 0 });
      expect(await node.presence.untilChanges('room', 3)).toEqual([
        `+${node.nodeId}-1 1`,
        `=${node.nodeId}-1 1`,
        `-${node.nodeId}-1 0`,
      ]);
    });
  });

  describe('data', () => {
    it('of every shape is listed, beside info and without, and none is told from null', async () => {
      const node = await start();
      const { presence } = node.backplane;
      const values = [{ cursor: [3, 14] }, 'text', 0, false, null, [new Uint8Array([1, 2])], 1.5];
      for (const [n, value] of values.entries()) {
        presence.enter('room', { ...entryOf(node, n, 'ann'), data: packValue(value) }, false);
        presence.enter('room', { ...entryOf(node, n + 10), info: value, data: packValue(value) }, false);
      }
      presence.enter('room', entryOf(node, 99), false);
      const { members } = await presence.list('room', 100);
      const byConnection = new Map(members.map((member) => [member.connection, member]));
      for (const [n, value] of values.entries()) {
        const plain = { connection: `${node.nodeId}-${n}`, user: 'ann', data: value };
        const withInfo = { connection: `${node.nodeId}-${n + 10}`, user: null, info: value, data: value };
        expect(byConnection.get(plain.connection)).toEqual(plain);
        expect(byConnection.get(plain.connection)).not.toHaveProperty('info');
        expect(byConnection.get(withInfo.connection)).toEqual(withInfo);
      }
      expect(byConnection.get(`${node.nodeId}-99`)).not.toHaveProperty('data');
    });

    it('that changes is told once, and the same again not at all', async () => {
      const node = await start('room');
      const { presence } = node.backplane;
      const enter = (value: unknown) =>
        presence.enter('room', { ...entryOf(node, 1, 'ann'), info: 'i', data: packValue(value) }, true);
      for (const value of ['a', 'a', 'b', 'b', 'a']) enter(value);
      presence.enter('room', { ...entryOf(node, 1, 'ann'), info: 'i' }, true);
      presence.leave('room', entryOf(node, 1), true);
      await node.presence.untilChanges('room', 5);
      const who = { connection: `${node.nodeId}-1`, user: 'ann', info: 'i' };
      expect(node.presence.of('room')).toEqual([
        { change: 'joined', who: { ...who, data: 'a' }, count: 1 },
        { change: 'changed', who: { ...who, data: 'b' }, count: 1 },
        { change: 'changed', who: { ...who, data: 'a' }, count: 1 },
        { change: 'changed', who, count: 1 },
        { change: 'left', who, count: 0 },
      ]);
    });
  });

  describe('pages', () => {
    it('have everyone once, in order, and the last one says so', async () => {
      const node = await start();
      enterMany(node, 'room', 257, false);
      const seen: PresenceEntry[] = [];
      let after: string | null = null;
      do {
        const page = await node.backplane.presence.list('room', 32, after);
        expect(page).toMatchObject({ count: 257, users: 257 });
        expect(page.members.length).toBeLessThanOrEqual(32);
        seen.push(...page.members);
        after = page.next;
      } while (after !== null);
      const connections = seen.map(({ connection }) => connection);
      expect(new Set(connections).size).toBe(257);
      expect(connections).toEqual([...connections].sort());
      expect(seen).toHaveLength(257);
    });

    it('may start after what is not there', async () => {
      const node = await start();
      enterMany(node, 'room', 3);
      const { presence } = node.backplane;
      expect(await presence.list('room', 10, 'zzzzzzzz')).toMatchObject({
        count: 3,
        members: [],
        next: null,
      });
      expect((await presence.list('room', 10, '!')).members).toHaveLength(3);
      const gone = `${node.nodeId}-2`;
      presence.leave('room', entryOf(node, 2), true);
      expect((await presence.list('room', 10, gone)).members).toEqual([entryOf(node, 3, 'u3')]);
    });

    it('of 2,000 members, while others come and go: those that stay come once', async () => {
      const seed = chaosSeed();
      const random = new Random(seed);
      const node = await start();
      const { presence } = node.backplane;
      enterMany(node, 'room', 2_000, false);
      // Every third comes and goes.
      const present = new Set(Array.from({ length: 2_000 }, (_, i) => i + 1));
      const churn = () => {
        for (let i = 0; i < 60; i++) {
          const n = random.whole(1, 1_000) * 3;
          if (present.delete(n)) presence.leave('room', entryOf(node, n), false);
          else {
            present.add(n);
            presence.enter('room', entryOf(node, n, `u${n}`), false);
          }
        }
      };
      const seen: string[] = [];
      let after: string | null = null;
      do {
        churn();
        const page = await presence.list('room', 50, after);
        expect(page.members.length).toBeLessThanOrEqual(50);
        seen.push(...page.members.map(({ connection }) => connection));
        after = page.next;
      } while (after !== null);
      expect(new Set(seen).size, `seed ${seed}`).toBe(seen.length);
      const stayed = Array.from({ length: 2_000 }, (_, i) => i + 1).filter((n) => n % 3 !== 0);
      const listed = new Set(seen);
      const missing = stayed.filter((n) => !listed.has(`${node.nodeId}-${n}`));
      expect(missing, `seed ${seed}`).toEqual([]);
    });
  });

  it('a view, and what is told after it, are exactly who is there, while members come, go and change', async () => {
    const seed = chaosSeed();
    const random = new Random(seed);
    const node = await start('room');
    const { presence } = node.backplane;
    let step = 0;
    const churn = () => {
      for (let i = 0; i < 20; i++) {
        const entry = entryOf(node, random.whole(1, 40), 'ann');
        if (random.next() < 0.3) presence.leave('room', entry, true);
        else presence.enter('room', { ...entry, data: packValue(++step) }, true);
      }
    };
    for (let round = 0; round < 30; round++) {
      churn();
      const viewing = presence.view('room', 100);
      const before = node.presence.of('room').length;
      churn();
      const page = await viewing;
      const told = new Set(node.presence.of('room').map(({ who }) => JSON.stringify(who)));
      for (const entry of page.members) expect(told).toContain(JSON.stringify(entry));
      const known = new Map(page.members.map((entry) => [entry.connection, entry]));
      churn();
      const truth = await presence.list('room', 100);
      // The marker is told after everything that the list has.
      presence.enter('room', entryOf(node, 1_000 + round), true);
      const isMarker = () =>
        node.presence.of('room').at(-1)?.who.connection === `${node.nodeId}-${1_000 + round}`;
      await waitFor(isMarker, { for: 'the marker' });
      for (const { change, who } of node.presence.of('room').slice(before)) {
        if (change === 'left') known.delete(who.connection);
        else known.set(who.connection, who);
      }
      known.delete(`${node.nodeId}-${1_000 + round}`);
      const listed = new Map(truth.members.map((entry) => [entry.connection, entry]));
      expect(known, `seed ${seed}, round ${round}`).toEqual(listed);
      presence.leave('room', entryOf(node, 1_000 + round), true);
    }
  });

  describe('rooms', () => {
    it('are those with entries, by name, each with its count', async () => {
      const node = await start();
      const { presence } = node.backplane;
      expect(await presence.rooms(10)).toEqual({ rooms: [], truncated: false });
      enterMany(node, 'b', 2, false);
      enterMany(node, 'ż', 1);
      enterMany(node, 'a:1', 3);
      enterMany(node, 'B', 1);
      expect(await presence.rooms(10)).toEqual({
        rooms: [
          { room: 'B', count: 1 },
          { room: 'a:1', count: 3 },
          { room: 'b', count: 2 },
          { room: 'ż', count: 1 },
        ],
        truncated: false,
      });
    });

    it('are gone with their last entry', async () => {
      const node = await start();
      const { presence } = node.backplane;
      enterMany(node, 'a', 2);
      enterMany(node, 'b', 1);
      presence.leave('a', entryOf(node, 1), true);
      presence.leave('b', entryOf(node, 1), true);
      expect(await presence.rooms(10)).toEqual({ rooms: [{ room: 'a', count: 1 }], truncated: false });
      presence.leave('a', entryOf(node, 2), true);
      expect(await presence.rooms(10)).toEqual({ rooms: [], truncated: false });
    });

    it('are answered while changes keep coming', async () => {
      const node = await start();
      let number = 0;
      let isAnswered = false;
      const keepEntering = () => {
        node.backplane.presence.enter('busy', entryOf(node, ++number), false);
        if (!isAnswered) setImmediate(keepEntering);
      };
      keepEntering();
      const { rooms } = await node.backplane.presence.rooms(10);
      isAnswered = true;
      expect(rooms.map(({ room }) => room)).toEqual(['busy']);
    });

    it('are the first ones where there are more than the limit, and it is said', async () => {
      const node = await start();
      const { presence } = node.backplane;
      const names = Array.from({ length: 1_500 }, (_, i) => `room:${i}`);
      for (const name of names) enterMany(node, name, 1, false);
      const sorted = names.sort().map((room) => ({ room, count: 1 }));
      expect(await presence.rooms(3)).toEqual({ rooms: sorted.slice(0, 3), truncated: true });
      expect(await presence.rooms(1_499)).toEqual({ rooms: sorted.slice(0, 1_499), truncated: true });
      expect(await presence.rooms(1_500)).toEqual({ rooms: sorted, truncated: false });
    });
  });

  describe('announcing', () => {
    it('tells of each change once, in order, with the count right after it', async () => {
      const node = await start('room');
      const { presence } = node.backplane;
      enterMany(node, 'room', 3);
      for (const n of [2, 1, 3]) presence.leave('room', entryOf(node, n, `u${n}`), true);
      const { nodeId } = node;
      expect(await node.presence.untilChanges('room', 6)).toEqual([
        `+${nodeId}-1 1`,
        `+${nodeId}-2 2`,
        `+${nodeId}-3 3`,
        `-${nodeId}-2 2`,
        `-${nodeId}-1 1`,
        `-${nodeId}-3 0`,
      ]);
    });

    it('tells who it was, with info, when joining and when leaving', async () => {
      const node = await start('room');
      const who = { ...entryOf(node, 1, 'ann'), info: { name: 'Ann' } };
      node.backplane.presence.enter('room', who, true);
      node.backplane.presence.leave('room', { connection: who.connection, user: 'ann' }, true);
      await node.presence.untilChanges('room', 2);
      expect(node.presence.of('room')).toEqual([
        { change: 'joined', who, count: 1 },
        { change: 'left', who, count: 0 },
      ]);
    });

    it('tells of one that leaves in the turn in which it came', async () => {
      const node = await start('room');
      const { presence } = node.backplane;
      for (let n = 1; n <= 100; n++) {
        presence.enter('room', entryOf(node, n), true);
        presence.leave('room', entryOf(node, n), true);
      }
      const lines = await node.presence.untilChanges('room', 200);
      expect(lines.slice(-2)).toEqual([`+${node.nodeId}-100 1`, `-${node.nodeId}-100 0`]);
      expect(await presence.list('room', 10)).toMatchObject({ count: 0, users: 0 });
    });

    it('says nothing of entering twice, nor of leaving a room without being in it', async () => {
      const node = await start('room');
      const { presence } = node.backplane;
      presence.enter('room', entryOf(node, 1), true);
      presence.leave('room', entryOf(node, 2), true);
      presence.enter('room', entryOf(node, 1), true);
      presence.leave('room', entryOf(node, 1), true);
      presence.leave('room', entryOf(node, 1), true);
      presence.enter('room', entryOf(node, 3), true);
      const { nodeId } = node;
      expect(await node.presence.untilChanges('room', 3)).toEqual([
        `+${nodeId}-1 1`,
        `-${nodeId}-1 0`,
        `+${nodeId}-3 1`,
      ]);
    });

    it('says nothing where it is not asked to, and counts all the same', async () => {
      const node = await start('quiet', 'loud');
      enterMany(node, 'quiet', 2, false);
      enterMany(node, 'loud', 1, true);
      await node.presence.untilChanges('loud', 1);
      expect(await node.backplane.presence.list('quiet', 10)).toMatchObject({ count: 2 });
      expect(node.presence.of('quiet')).toEqual([]);
    });

    it('says nothing of rooms that the node is not subscribed to', async () => {
      const node = await start('heard');
      enterMany(node, 'unheard', 2);
      enterMany(node, 'heard', 1);
      await node.presence.untilChanges('heard', 1);
      expect(node.presence.of('unheard')).toEqual([]);
    });

    it('leaves envelopes and presence of a room apart', async () => {
      const node = await start('room');
      enterMany(node, 'room', 2);
      await node.presence.untilChanges('room', 2);
      expect(node.heard.of('room')).toEqual([]);
    });
  });

  it('carries thousands of rooms and members at once', async () => {
    const node = await start();
    for (let r = 0; r < 500; r++) enterMany(node, `room:${r}`, 4, false);
    enterMany(node, 'large', 3_000, false);
    expect(await node.backplane.presence.list('large', 0)).toMatchObject({ count: 3_000, users: 3_000 });
    expect(await node.backplane.presence.list('room:499', 10)).toMatchObject({ count: 4, users: 4 });
    for (let n = 1; n <= 3_000; n++) node.backplane.presence.leave('large', entryOf(node, n), false);
    expect(await node.backplane.presence.list('large', 10)).toMatchObject({ count: 0, users: 0 });
  });

  it('names this node among the nodes', async () => {
    const { backplane, nodeId } = await start();
    expect(await backplane.presence.nodes()).toEqual([nodeId]);
  });

  it('can be closed twice, and refuses to list afterwards', async () => {
    const node = await start();
    enterMany(node, 'room', 1);
    await node.backplane.presence.close();
    await node.backplane.presence.close();
    enterMany(node, 'room', 2);
    const refusal = { name: 'BackplaneError', code: 'unavailable' };
    await expect(node.backplane.presence.list('room', 10)).rejects.toMatchObject(refusal);
    await expect(node.backplane.presence.rooms(10)).rejects.toMatchObject(refusal);
  });
});
