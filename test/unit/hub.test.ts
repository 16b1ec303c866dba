import { describe, expect, it } from 'vitest';
import { Hub, type HubConnection } from '../../src/hub/hub.ts';
import type { ReaderEncoding } from '../../src/protocol/subprotocol.ts';

interface Guest extends HubConnection {
  user: string | null;
}

function guest(number: number, user: string | null = null, encoding: ReaderEncoding = 'msgpack'): Guest {
  return { number, user, encoding, rooms: [] };
}

function open(...guests: Guest[]): Hub<Guest> {
  const hub = new Hub<Guest>();
  for (const one of guests) hub.add(one);
  return hub;
}

describe('a hub', () => {
  it('knows who is in which room, and what encodings they read', () => {
    const [ann, bob] = [guest(1), guest(2, null, 'json')];
    const hub = open(ann, bob);
    expect(hub.enter(ann, 'a')).toMatchObject({ name: 'a', members: 1, binaryMembers: 1, textMembers: 0 });
    hub.enter(ann, 'b');
    const room = hub.enter(bob, 'a');
    expect(room).toMatchObject({ members: 2, binaryMembers: 1, textMembers: 1 });
    expect([room.topic('msgpack'), room.topic('json')]).toEqual([room.binaryTopic, room.textTopic]);
    expect(room.binaryTopic).not.toBe(room.textTopic);
    expect(ann.rooms).toEqual(['a', 'b']);
    expect([bob.rooms.includes('a'), bob.rooms.includes('b')]).toEqual([true, false]);
    expect(hub).toMatchObject({ connectionCount: 2, roomCount: 2, membershipCount: 3 });
  });

  it('has nobody leave a room that they are not in', () => {
    const [ann, bob] = [guest(1), guest(2)];
    const hub = open(ann, bob);
    hub.enter(ann, 'a');
    expect(hub.leave(bob, 'a')).toBeNull();
    expect(hub.leave(ann, 'unknown')).toBeNull();
    expect(hub.leave(ann, 'a')?.members).toBe(0);
    expect(hub.leave(ann, 'a')).toBeNull();
    expect(hub.membershipCount).toBe(0);
  });

  it('keeps an empty room until it is dropped, and one that is not empty whatever happens', () => {
    const ann = guest(1);
    const hub = open(ann);
    const room = hub.enter(ann, 'a');
    hub.drop(room);
    expect(hub.room('a')).toBe(room);
    hub.leave(ann, 'a');
    expect(hub.room('a')).toBe(room);
    hub.drop(room);
    expect(hub.room('a')).toBeUndefined();
    const again = hub.enter(ann, 'a');
    hub.leave(ann, 'a');
    hub.drop(room);
    expect(hub.room('a')).toBe(again);
  });

  it('finds the connections of a user, also of one that is known only later', () => {
    const [phone, laptop, late] = [guest(1, 'ann'), guest(2, 'ann'), guest(3)];
    const hub = open(phone, laptop, late);
    expect([...hub.connectionsOf('ann')]).toEqual([phone, laptop]);
    late.user = 'ann';
    hub.identify(late);
    hub.identify(late);
    expect([...hub.connectionsOf('ann')]).toEqual([phone, laptop, late]);
    for (const connection of [phone, laptop, late]) hub.remove(connection);
    expect([...hub.connectionsOf('ann')]).toEqual([]);
    expect(hub.connectionCount).toBe(0);
    expect(hub.connection(1)).toBeUndefined();
  });

  it('takes the names of users and rooms for names, whatever they spell', () => {
    const ann = guest(1, '__proto__');
    const hub = open(ann);
    hub.enter(ann, 'constructor');
    expect(hub.room('toString')).toBeUndefined();
    expect([...hub.connectionsOf('__proto__')]).toEqual([ann]);
    expect([...hub.connectionsOf('hasOwnProperty')]).toEqual([]);
  });
});
