import { describe, expect, it } from 'vitest';
import { EmptiedRooms } from '../../src/backplane/redis/presence/emptied-rooms.ts';

describe('rooms that a node has left', () => {
  it('are due when the last leave is old enough, each once', () => {
    const rooms = new EmptiedRooms(100);
    rooms.add('a', 0);
    rooms.add('b', 10);
    rooms.add('a', 20);
    expect([99, 110, 119, 120, 999].map((nowMs) => rooms.takeDue(nowMs))).toEqual([[], ['b'], [], ['a'], []]);
  });

  it('are due at once where they are not kept', () => {
    const rooms = new EmptiedRooms(0);
    rooms.add('a', 5);
    expect(rooms.takeDue(5)).toEqual(['a']);
  });

  it('are due when there are too many, the oldest first', () => {
    const rooms = new EmptiedRooms(100);
    for (let i = 0; i < 10_002; i++) rooms.add(`room ${i}`, i / 1_000);
    expect(rooms.takeDue(11)).toEqual(['room 0', 'room 1']);
  });
});
