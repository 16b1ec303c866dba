import { describe, expect, it } from 'vitest';
import { PresenceQueue, type UpdateBatch } from '../../src/backplane/redis/presence/presence-queue.ts';

const ALL = { updates: 1_000_000, bytes: 1_000_000_000 };
const WHO = Uint8Array.of(0x91, 0xc0);

function enter(queue: PresenceQueue, room: string, ...connections: string[]): void {
  for (const connection of connections) queue.push(room, connection, WHO, true);
}

function leave(queue: PresenceQueue, room: string, ...connections: string[]): void {
  for (const connection of connections) queue.push(room, connection, null, true);
}

function textOf(batches: readonly UpdateBatch[]): string[] {
  return batches.map(
    ({ room, updates }) =>
      `${room.name}: ${updates.map(({ connection, who }) => (who === null ? '-' : '+') + connection).join(' ')}`,
  );
}

describe('waiting presence changes', () => {
  it('come in the order of the calls, room by room', () => {
    const queue = new PresenceQueue();
    enter(queue, 'a', '1', '2');
    enter(queue, 'b', '3');
    leave(queue, 'a', '1');
    enter(queue, 'a', '1');
    expect(textOf(queue.take(ALL))).toEqual(['a: +1 +2 -1 +1', 'b: +3']);
    expect(queue.isEmpty).toBe(true);
  });

  it('know the number of the oldest, of one room and of all', () => {
    const queue = new PresenceQueue();
    expect([queue.oldest('a'), queue.oldest(null)]).toEqual([Infinity, Infinity]);
    enter(queue, 'a', '1', '2');
    enter(queue, 'b', '3');
    expect([queue.oldest('a'), queue.oldest('b'), queue.oldest(null)]).toEqual([1, 3, 1]);
    // What comes while a call is under way must not make those wait who asked before.
    queue.take({ updates: 2, bytes: 1_000 });
    enter(queue, 'a', '4');
    expect([queue.oldest('a'), queue.oldest(null)]).toEqual([4, 3]);
  });

  it('are taken in parts, and a room that had its part goes behind the others', () => {
    const queue = new PresenceQueue();
    enter(queue, 'large', '1', '2', '3', '4', '5');
    enter(queue, 'small', '6');
    const take = () => {
      const batches = queue.take({ updates: 3, bytes: 1_000 });
      for (const batch of batches) queue.written(batch);
      return textOf(batches);
    };
    expect(take()).toEqual(['large: +1 +2 +3']);
    expect(take()).toEqual(['small: +6', 'large: +4 +5']);
    expect(take()).toEqual([]);
  });

  it('go before what came later when they are put back, each connection’s last one only', () => {
    const queue = new PresenceQueue();
    enter(queue, 'a', '1', '2');
    leave(queue, 'a', '2');
    const [batch] = queue.take(ALL);
    leave(queue, 'a', '1');
    queue.putBack(batch!, true);
    expect(textOf(queue.take(ALL))).toEqual(['a: +1 -2 -1']);
  });

  it('of connections that come and go while nothing can be written take no memory', () => {
    const queue = new PresenceQueue();
    enter(queue, 'a', 'stays');
    for (let n = 0; n < 100_000; n++) {
      enter(queue, `room:${n}`, `c${n}`);
      leave(queue, `room:${n}`, `c${n}`);
    }
    const rest = queue.take(ALL);
    expect(rest.length).toBeLessThan(20_000);
    expect(textOf(rest)[0]).toBe('a: +stays');
  });

  it('keep the leave of a connection that the store may have, however much waits', () => {
    const queue = new PresenceQueue();
    enter(queue, 'a', '1');
    queue.written(queue.take(ALL)[0]!);
    leave(queue, 'a', '1');
    for (let n = 0; n < 20_000; n++) {
      enter(queue, 'b', `c${n}`);
      leave(queue, 'b', `c${n}`);
    }
    expect(textOf(queue.take(ALL))[0]).toBe('a: -1');
  });
});

describe('a room', () => {
  it('comes off the list when the last connection has left it, and not before', () => {
    const queue = new PresenceQueue();
    const written = () => queue.take(ALL).map((batch) => queue.written(batch));
    enter(queue, 'a', '1', '2');
    expect(written()).toEqual([false]);
    leave(queue, 'a', '1');
    expect(written()).toEqual([false]);
    expect(queue.hasStored).toBe(true);
    leave(queue, 'a', '2');
    expect(written()).toEqual([true]);
    expect(queue.hasStored).toBe(false);
  });

  it('stays on the list when somebody enters while the last leave is under way', () => {
    const queue = new PresenceQueue();
    enter(queue, 'a', '1');
    leave(queue, 'a', '1');
    const [batch] = queue.take(ALL);
    enter(queue, 'a', '2');
    expect(queue.written(batch!)).toBe(false);
  });

  it('stays on the list when a call was never answered, as long as that might still arrive', () => {
    let nowMs = 0;
    const queue = new PresenceQueue(() => nowMs);
    enter(queue, 'a', '1');
    queue.putBack(queue.take(ALL)[0]!, true);
    leave(queue, 'a', '1');
    expect(queue.take(ALL).map((batch) => queue.written(batch))).toEqual([false]);
    enter(queue, 'a', '2');
    leave(queue, 'a', '2');
    nowMs = 59 * 60_000;
    expect(queue.take(ALL).map((batch) => queue.written(batch))).toEqual([false]);
    enter(queue, 'a', '3');
    leave(queue, 'a', '3');
    nowMs = 60 * 60_000;
    expect(queue.take(ALL).map((batch) => queue.written(batch))).toEqual([true]);
  });
});
