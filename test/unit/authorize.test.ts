import { describe, expect, it } from 'vitest';
import {
  type Asker,
  authorize,
  authorizeInCluster,
  type KeptOut,
  NOBODY_KEPT_OUT,
  type RoomAccess,
  type RoomAction,
} from '../../src/auth/authorize.ts';
import type { Identity } from '../../src/auth/identity.ts';
import { permissionsFrom } from '../../src/auth/permissions.ts';

const CLIENT_ACTIONS = ['join', 'leave', 'publish', 'members', 'history', 'ack'] as const;
const READS = ['join', 'members', 'history', 'ack'] as const;
const OPEN: RoomAccess = { join: 'anyone', publish: 'anyone' };

function user(name: string, rooms?: unknown): Identity {
  return { user: name, expiresAtMs: null, permissions: permissionsFrom(rooms) };
}

const ANN = user('ann');

/** The actions that are permitted. */
function permitted(
  room: string,
  identity: Identity | null,
  access = OPEN,
  rooms: string[] = [],
): RoomAction[] {
  return CLIENT_ACTIONS.filter(
    (action) => authorize(action, room, { identity, rooms }, access, NOBODY_KEPT_OUT) === null,
  );
}

describe('in an ordinary room', () => {
  it('anyone may do anything, but for an ack without a user', () => {
    expect(permitted('chat', ANN)).toEqual(CLIENT_ACTIONS);
    expect(permitted('chat', null)).toEqual(['join', 'leave', 'publish', 'members', 'history']);
  });

  it('reading follows the right to join', () => {
    for (const join of ['authenticated', 'nobody'] as const) {
      expect(permitted('chat', null, { ...OPEN, join })).toEqual(['leave', 'publish']);
    }
    expect(permitted('chat', ANN, { ...OPEN, join: 'authenticated' })).toEqual(CLIENT_ACTIONS);
    expect(permitted('chat', ANN, { ...OPEN, join: 'nobody' })).toEqual(['leave', 'publish']);
  });

  it('the token decides room by room', () => {
    const reader = user('ann', [{ match: 'chat', join: true }]);
    const writer = user('ann', [{ match: 'chat', publish: true }]);
    expect(permitted('chat', reader)).toEqual(['join', 'leave', 'members', 'history', 'ack']);
    expect(permitted('chat', writer)).toEqual(['leave', 'publish']);
    expect(permitted('other', reader)).toEqual(['leave']);
    expect(permitted('chat', user('ann', []))).toEqual(['leave']);
  });

  it('the rule says who publishes', () => {
    const may = (publish: RoomAccess['publish'], identity: Identity | null, rooms: string[]) =>
      authorize('publish', 'chat', { identity, rooms }, { ...OPEN, publish }, NOBODY_KEPT_OUT)?.code ?? 'yes';
    expect(may('members', ANN, ['chat'])).toBe('yes');
    expect(may('members', ANN, ['chatter'])).toBe('not_joined');
    expect(may('authenticated', ANN, [])).toBe('yes');
    expect(may('authenticated', null, ['chat'])).toBe('forbidden');
    expect(may('server', ANN, ['chat'])).toBe('forbidden');
    expect(may('members', user('ann', []), ['chat'])).toBe('forbidden');
  });
});

describe('in a reserved room', () => {
  const others = ['$user:bob', '$user:', '$user:annie', '$user:an', '$', '$other', '$USER:ann', '$user'];

  it('of its own a user may join and read, and nothing else', () => {
    expect(permitted('$user:ann', ANN)).toEqual(['join', 'members', 'history', 'ack']);
  });

  it('of its own a user may read whatever the rule and the token say: the node put it there', () => {
    const closed: RoomAccess = { join: 'nobody', publish: 'anyone' };
    expect(permitted('$user:ann', user('ann', []), closed)).toEqual(['join', 'members', 'history', 'ack']);
  });

  it.each(others)('%s a client may do nothing, whatever its token grants', (room) => {
    const all = user('ann', [{ match: '*', join: true, publish: true }]);
    for (const identity of [null, ANN, all]) expect(permitted(room, identity, OPEN, [room])).toEqual([]);
  });

  it('of a user an anonymous client may do nothing', () => {
    expect(permitted('$user:ann', null, OPEN, ['$user:ann'])).toEqual([]);
  });
});

describe('a user who is kept out of a room', () => {
  const keptOut: KeptOut = { leftMs: (user, room) => (user === 'ann' && room === 'chat' ? 1234.5 : 0) };
  const answer = (action: RoomAction, identity: Identity | null, room = 'chat') =>
    authorize(action, room, { identity, rooms: ['chat'] }, OPEN, keptOut);

  it('may only leave it, and is told when to ask again', () => {
    for (const action of ['join', 'publish', 'members', 'history', 'ack'] as const) {
      expect(answer(action, ANN)).toMatchObject({ code: 'forbidden', retryAfterMs: 1235 });
    }
    expect(answer('leave', ANN)).toBeNull();
  });

  it('may do in other rooms what it may, and others in this one', () => {
    expect(answer('join', ANN, 'other')).toBeNull();
    expect(answer('join', user('bob'))).toBeNull();
    expect(answer('join', null)).toBeNull();
  });
});

describe('the server API', () => {
  it('may do everything, everywhere', () => {
    const closed: RoomAccess = { join: 'nobody', publish: 'members' };
    for (const room of ['chat', '$user:ann', '$other']) {
      for (const action of ['publish', 'members', 'history', 'acks', 'remove', 'add', 'clear'] as const) {
        expect(authorize(action, room, 'server', closed, NOBODY_KEPT_OUT)).toBeNull();
      }
    }
  });

  it('alone lists acks, rooms and nodes, and disposes of users and histories', () => {
    const asker: Asker = { identity: ANN, rooms: ['chat'] };
    for (const action of ['acks', 'remove', 'add', 'clear'] as const) {
      expect(authorize(action, 'chat', asker, OPEN, NOBODY_KEPT_OUT)?.code).toBe('forbidden');
    }
    for (const action of ['rooms', 'nodes', 'disconnect', 'user'] as const) {
      expect(authorizeInCluster(action, asker)?.code).toBe('forbidden');
      expect(authorizeInCluster(action, 'server')).toBeNull();
    }
  });
});

describe('a refusal', () => {
  const say = (action: RoomAction, room: string, identity: Identity | null, access = OPEN) =>
    authorize(action, room, { identity, rooms: [] }, access, NOBODY_KEPT_OUT)?.message;

  it('names the room, and the rule or the claim that says no', () => {
    for (const action of READS) {
      expect(say(action, 'chat', ANN, { ...OPEN, join: 'nobody' })).toMatch(/"chat".*join: nobody/);
      expect(say(action, 'chat', null, { ...OPEN, join: 'authenticated' })).toMatch(
        /token.*"chat".*join: authenticated/,
      );
      expect(say(action, 'chat', user('ann', []))).toMatch(/grant join in "chat".*rooms claim/);
      expect(say(action, '$user:bob', ANN)).toMatch(/"\$user:bob".*another user/);
      expect(say(action, '$other', ANN)).toMatch(/"\$other".*reserved/);
    }
    expect(say('publish', 'chat', user('ann', []))).toMatch(/grant publish in "chat".*rooms claim/);
    for (const publish of ['members', 'authenticated', 'server'] as const) {
      expect(say('publish', 'chat', null, { ...OPEN, publish })).toMatch(
        new RegExp(`"chat".*publish: ${publish}`),
      );
    }
    expect(say('publish', '$user:ann', ANN)).toMatch(/server API.*"\$user:ann"/);
    expect(say('ack', 'chat', null)).toMatch(/present a token/);
  });
});
