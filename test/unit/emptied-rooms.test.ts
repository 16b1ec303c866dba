import { describe, expect, it } from 'vitest';
import { EmptiedRooms } from '../../src/backplane/redis/presence/emptied-rooms.ts';
import { PresenceQueue } from '../../src/backplane/redis/presence/presence-queue.ts';

const nowhere = () => false;

describe('rooms that a node has left', () => {
  it('are due when the last leave is old enough, each once', () => {
    const rooms = new EmptiedRooms(100, nowhere);
    rooms.add('a', 0);
    rooms.add('b', 10);
    rooms.add('a', 20);
    expect([99, 110, 119, 120, 999].map((nowMs) => rooms.takeDue(nowMs))).toEqual([[], ['b'], [], ['a'], []]);
  });

  it('are due at once where they are not kept', () => {
    const rooms = new EmptiedRooms(0, nowhere);
    rooms.add('a', 5);
    expect(rooms.takeDue(5)).toEqual(['a']);
  });

  it('are due when there are too many, the oldest first', () => {
    const rooms = new EmptiedRooms(100, nowhere);
    for (let i = 0; i < 10_002; i++) rooms.add(`room ${i}`, i / 1_000);
    expect(rooms.takeDue(11)).toEqual(['room 0', 'room 1']);
  });

  it('are none that it is in, of which a swept list may name more than are kept', () => {
    const isIn = (room: string) => room.startsWith('kept');
    const rooms = new EmptiedRooms(100, isIn);
    rooms.add('left', 0);
    for (let i = 0; i < 10_000; i++) rooms.add(`kept ${i}`, 0);
    expect([rooms.takeDue(99), rooms.takeDue(100)]).toEqual([[], ['left']]);
  });

  it('are not due while it is in them again', () => {
    const again = new Set<string>();
    const rooms = new EmptiedRooms(100, (room) => again.has(room));
    rooms.add('a', 0);
    again.add('a');
    expect(rooms.takeDue(100)).toEqual([]);
    again.delete('a');
    rooms.add('a', 150);
    expect([rooms.takeDue(249), rooms.takeDue(250)]).toEqual([[], ['a']]);
  });

  // It was left before: the last leave does not count, since a call that was never answered may still enter somebody.
  it('are not due while an unanswered call may enter somebody', () => {
    let nowMs = 0;
    const queue = new PresenceQueue(() => nowMs);
    const take = () => queue.take({ updates: 100, bytes: 10_000 })[0]!;
    const rooms = new EmptiedRooms(100, (room) => queue.mayHave(room));
    rooms.add('a', 0);
    queue.push('a', 'n-1', Uint8Array.of(0xc0), true);
    queue.putBack(take(), true);
    expect(queue.written(take())).toBe(false);
    queue.push('a', 'n-1', null, true);
    expect(queue.written(take())).toBe(false);
    nowMs = 100;
    expect(rooms.takeDue(nowMs)).toEqual([]);
    rooms.add('a', nowMs);
    nowMs = 60 * 60_000;
    expect([queue.mayHave('a'), rooms.takeDue(nowMs)]).toEqual([false, []]);
    rooms.add('a', nowMs);
    expect(rooms.takeDue(nowMs + 100)).toEqual(['a']);
  });
});
