/** How much those who catch up are given at once: a client asks for it with thirty bytes, and as often as it likes. */
import { describe, expect, it } from 'vitest';
import type { Client } from '../support/world.ts';
import { type Cast, cast } from './scenarios.ts';

const ROOMS = Array.from({ length: 9 }, (_, i) => `room${i}`);
const SIZE = 500;
const MESSAGES = 4;

/** Rooms that hold 2 kB each, which is what a connection may be given in a turn here, and more than a quarter of what it may lag behind. */
async function filled(rooms: readonly string[]): Promise<Cast> {
  const on = await cast();
  for (const room of rooms) {
    for (let n = 0; n < MESSAGES; n++) on.pub.send(on.pub.publishFrame(`${room}.${n}`, SIZE, true, room));
    await on.world.settle();
  }
  return on;
}

/** Has the node remember what the rooms hold. */
async function remembered(on: Cast, rooms: readonly string[]): Promise<void> {
  for (const room of rooms) on.bob.joinSince(0, room);
  await on.world.settle();
  on.node.metrics.recovery.recovered = 0;
}

function since(on: Cast, client: Client, room: string) {
  return client.joinFrame({ since: [on.store.room(room).epoch, 0] }, room);
}

function received({ socket }: Client, room: string): number {
  return socket.frames.filter((frame) => frame[0] === 'message' && frame[1] === room).length;
}

describe('a client that joins again and again to catch up', () => {
  it.each(['ann', 'jo'] as const)(
    'is given a portion in a turn, and nothing for joins that it left (%s)',
    async (who) => {
      const on = await filled(['room0']);
      await remembered(on, ['room0']);
      const client = on[who];
      client.send(...ROOMS.flatMap(() => [since(on, client, 'room0'), client.leaveFrame('room0')]));
      await on.world.settle();
      expect(on.node.metrics.recovery.recovered).toBeLessThanOrEqual(MESSAGES + 1);
      expect(client.socket.closeCode).toBeNull();
    },
  );

  it('has few reads under way, also of rooms that it has left', async () => {
    const on = await filled(ROOMS);
    for (const room of ROOMS) on.bob.join({}, room);
    await on.world.settle();
    on.port.reads.shut();
    const { ann } = on;
    for (let round = 0; round < 3; round++) {
      ann.send(...ROOMS.map((room) => since(on, ann, room)));
      await on.world.settle();
      if (round < 2) ann.send(...ROOMS.map((room) => ann.leaveFrame(room)));
      await on.world.settle();
    }
    expect(on.port.reads.waiting).toBeLessThanOrEqual(4);
    on.port.reads.open();
    await on.world.settle();
    for (const room of ROOMS) expect([room, received(ann, room)]).toEqual([room, MESSAGES]);
  });
});

describe('a client that comes back to many rooms at once', () => {
  it.each(['ann', 'jo'] as const)(
    'is given all of them, portion by portion, and is not closed for it (%s)',
    async (who) => {
      const on = await filled(ROOMS);
      await remembered(on, ROOMS);
      const client = on[who];
      client.send(...ROOMS.map((room) => since(on, client, room)));
      await on.world.settle();
      expect(client.socket.closeCode).toBeNull();
      for (const room of ROOMS) expect([room, received(client, room)]).toEqual([room, MESSAGES]);
    },
  );
});
