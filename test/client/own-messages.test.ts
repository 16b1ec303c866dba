/** Messages with `echo: false` do not reach their publisher, also not from history after the connection was lost. */
import { describe, expect, it } from 'vitest';
import { RoomcastClient } from '../../src/client/index.ts';
import { OwnMessages } from '../../src/client/own-messages.ts';
import { startTestBroker } from '../../src/testing/index.ts';
import { Random } from '../support/random.ts';
import { outcome, World } from './world.ts';

const JOINED = { epoch: 'e', offset: 5, recovered: false };
const message = (offset: number, data: unknown = offset) => ['message', 'r', offset, 1, 'ann', data] as const;

async function joined() {
  const world = new World();
  const client = await world.connected();
  const room = client.room('r');
  const heard: unknown[] = [];
  room.on('message', ({ data }) => heard.push(data));
  await world.settle();
  world.socket.answer('join', JOINED);
  return { world, client, room, heard };
}

describe('own messages', () => {
  it('move the position where nothing is missing before them, so that they are not asked for again', async () => {
    const { world, room } = await joined();
    void room.publish('mine', { echo: false });
    void room.publish('mine', { echo: false });
    await world.settle();
    const ids = world.socket.commands('publish').map(([, id]) => id);
    world.socket.receive(
      ['ok', ids[0], { epoch: 'e', offset: 6 }],
      ['ok', ids[1], { epoch: 'e', offset: 8 }],
    );
    expect(room.position).toEqual(['e', 6]);
    world.socket.receive(message(7));
    expect(room.position).toEqual(['e', 8]);
  });

  it('are known to the next membership where a listener leaves right before them, and joins again', async () => {
    const { world, client, room } = await joined();
    void room.publish('mine', { echo: false });
    await world.settle();
    world.socket.answer('publish', { epoch: 'e', offset: 7 });
    room.on('message', () => {
      const since = room.position!;
      room.leave();
      client.room('r', { since });
    });
    world.socket.receive(message(6));
    await world.settle();
    world.socket.answer('join', { epoch: 'e', offset: 7, recovered: true });
    const again = client.room('r');
    expect([again.state, again.position]).toEqual(['joined', ['e', 7]]);
  });

  it('are left out of what a join recovers', async () => {
    const { world, room, heard } = await joined();
    void room.publish('mine', { echo: false });
    await world.settle();
    world.socket.answer('publish', { epoch: 'e', offset: 7 });
    const caughtUp: unknown[] = [];
    room.on('joined', (what) => caughtUp.push(what));
    await world.reconnect();
    world.socket.receive(
      ['ok', world.socket.idOf('join'), { epoch: 'e', offset: 8, recovered: true }],
      message(6),
      message(7, 'mine'),
      message(8),
    );
    expect([heard, room.position]).toEqual([
      [6, 8],
      ['e', 8],
    ]);
    expect(caughtUp).toEqual([{ recovered: true, missed: 2, gap: 0, reset: false }]);
  });

  it('whose answer was lost are waited for: until it comes, nothing of the room is delivered', async () => {
    const { world, room, heard } = await joined();
    const mine = outcome(room.publish('mine', { echo: false }));
    await world.settle();
    await world.reconnect();
    world.socket.receive(
      ['ok', world.socket.idOf('join'), { epoch: 'e', offset: 7, recovered: true }],
      message(6, 'mine'),
      message(7),
    );
    expect(heard).toEqual([]);
    world.socket.answer('publish', { epoch: 'e', offset: 6, duplicate: true });
    await world.settle();
    expect([heard, mine.value]).toEqual([[7], { epoch: 'e', offset: 6, duplicate: true }]);
  });

  it('that were refused after all hold nothing up', async () => {
    const { world, room, heard } = await joined();
    const mine = outcome(room.publish('mine', { echo: false }));
    await world.settle();
    await world.reconnect();
    world.socket.receive(
      ['ok', world.socket.idOf('join'), { epoch: 'e', offset: 6, recovered: true }],
      message(6),
    );
    world.socket.refuse('publish', 'forbidden');
    await world.settle();
    // The first sending may have been stored: only its repetition is known to be refused.
    expect([heard, mine.error]).toEqual([[6], expect.objectContaining({ name: 'UnknownOutcomeError' })]);
  });

  it('hold up a bounded number of others', async () => {
    const { world, room, heard } = await joined();
    void room.publish('mine', { echo: false });
    await world.settle();
    await world.reconnect();
    world.socket.answer('join', { epoch: 'e', offset: 5, recovered: true });
    for (let offset = 6; offset <= 1005; offset++) world.socket.receive(message(offset));
    expect(heard).toEqual([]);
    world.socket.receive(message(1006));
    expect(heard).toHaveLength(1001);
  });

  it('are forgotten where the numbering begins anew, and beyond a bound', async () => {
    const { world, room, heard } = await joined();
    void room.publish('mine', { echo: false });
    await world.settle();
    world.socket.answer('publish', { epoch: 'e', offset: 7 });
    world.socket.receive(['reset', 'r', 'f', 6], message(7));
    expect(heard).toEqual([7]);
    const own = new OwnMessages();
    for (let offset = 1; offset <= 1001; offset++) own.add('r', 'e', offset);
    expect([
      own.has('r', 'e', 1),
      own.has('r', 'e', 2),
      own.lastFrom('r', 'e', 1),
      own.has('r', 'e', 2),
    ]).toEqual([false, true, 1001, false]);
    own.add('r', 'f', 1);
    expect([own.has('r', 'f', 1), own.has('r', 'e', 1), own.has('s', 'f', 1)]).toEqual([true, false, false]);
  });

  it('of a numbering that the room has not heard of yet do not keep it catching up', async () => {
    const { world, room } = await joined();
    await world.reconnect();
    void room.publish('mine', { echo: false });
    await world.settle();
    world.socket.answer('publish', { epoch: 'f', offset: 3 });
    world.socket.receive(
      ['ok', world.socket.idOf('join'), { epoch: 'f', offset: 3, recovered: false }],
      ['reset', 'r', 'f', 0],
      message(1),
      message(2),
    );
    expect([room.state, room.position]).toEqual(['joined', ['f', 3]]);
  });

  it('that were published before the room was joined do not keep it catching up', async () => {
    const world = new World();
    const client = await world.connected();
    void client.publish('r', 'mine', { echo: false });
    await world.settle();
    world.socket.answer('publish', { epoch: 'e', offset: 7 });
    const room = client.room('r', { last: 2 });
    await world.settle();
    world.socket.answer('join', { epoch: 'e', offset: 7, recovered: true, from: 5 });
    world.socket.receive(message(6));
    expect([room.state, room.position]).toEqual(['joined', ['e', 7]]);
  });

  it('never come back under cuts, and those of others all do', async () => {
    const dice = new Random(90_125);
    const broker = await startTestBroker({
      time: 'manual',
      random: dice.next,
      limits: { commandsPerSecond: 0 },
    });
    const people = ['ann', 'bob'].map((name) => {
      const device = broker.device();
      const client = new RoomcastClient(broker.url, { WebSocket: device.WebSocket, scheduler: broker.clock });
      const room = client.room<string>('r');
      const heard: string[] = [];
      room.on('message', ({ data }) => heard.push(data));
      return { name, device, client, room, heard, sent: [] as string[] };
    });
    await broker.clock.advance(1000);
    const stored: Promise<unknown>[] = [];
    for (let n = 0; n < 400; n++) {
      const who = dice.pick(people);
      const text = `${who.name} ${n}`;
      who.sent.push(text);
      stored.push(who.room.publish(text, { echo: false }));
      if (dice.next() < 0.2) broker.cut(dice.pick(people).device);
      if (dice.next() < 0.2) await broker.settled();
      else if (dice.next() < 0.3) await broker.clock.advance(dice.whole(0, 2000));
    }
    await broker.clock.advance(60_000);
    await Promise.all(stored);
    const [ann, bob] = people;
    expect(ann!.heard).toEqual(bob!.sent);
    expect(bob!.heard).toEqual(ann!.sent);
    for (const { client } of people) client.close();
    await broker.stop();
  });
});
