import { describe, expect, it } from 'vitest';
import {
  type Asker,
  authorize,
  authorizeInCluster,
  authorizeJoin,
  type JoinAsks,
  type KeptOut,
  NOBODY_KEPT_OUT,
  PLAIN_JOIN,
  type RoomAccess,
  type RoomAction,
} from '../../src/auth/authorize.ts';
import type { Identity } from '../../src/auth/identity.ts';
import { permissionsFrom } from '../../src/auth/permissions.ts';
import { RIGHTS, RIGHTS_BESIDE_JOIN, type Right } from '../../src/auth/rights.ts';

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

/** The rights that a user has in a room that it is in. */
function rights(rooms: unknown, access: Partial<RoomAccess> = {}): Right[] {
  const asker = { identity: user('ann', rooms), rooms: ['chat'] };
  return RIGHTS.filter(
    (right) => authorize(right, 'chat', asker, { ...OPEN, ...access }, NOBODY_KEPT_OUT) === null,
  );
}

const without = (right: Right) => RIGHTS.filter((other) => other !== right);

describe('each right', () => {
  it.each(RIGHTS)('%s can be taken away by the claim alone, and leaves the others', (right) => {
    const all = Object.fromEntries(RIGHTS.map((name) => [name, true]));
    expect(rights([{ ...all, match: 'chat', [right]: false }])).toEqual(without(right));
  });

  it.each(RIGHTS_BESIDE_JOIN)('%s can be given by the claim alone', (right) => {
    expect(rights([{ match: 'chat', [right]: true }])).toEqual([right]);
  });

  it.each(RIGHTS_BESIDE_JOIN)('%s follows join where the claim and the rule leave it out', (right) => {
    expect(rights([{ match: 'chat', join: true }])).toContain(right);
    expect(rights([{ match: 'chat', publish: true }])).toEqual(['publish']);
    expect(rights(undefined, { join: 'server' })).toEqual(['publish']);
    expect(rights(undefined, { join: 'server', access: { [right]: 'anyone' } })).toEqual(
      RIGHTS.filter((other) => other === right || other === 'publish'),
    );
  });

  it.each(RIGHTS_BESIDE_JOIN)('%s can be closed by the rule alone', (right) => {
    expect(rights(undefined, { access: { [right]: 'server' } })).toEqual(without(right));
  });

  it('that the claim spells in another way than true is not granted', () => {
    expect(rights([{ match: 'chat', join: true, members: 'true', history: null, ack: 1 }])).toEqual([
      'join',
      'presence',
    ]);
  });

  it.each(RIGHTS)('%s by claim is for those whose claim grants it by name', (right) => {
    const access =
      right === 'join' || right === 'publish' ? { [right]: 'claim' } : { access: { [right]: 'claim' } };
    expect(rights([{ match: '*', join: true, publish: true, [right]: true }], access)).toContain(right);
    // No claim at all names nothing.
    expect(rights(undefined, access)).not.toContain(right);
    const follows = [{ match: '*', join: true, publish: true }];
    if (right !== 'join' && right !== 'publish') expect(rights(follows, access)).toEqual(without(right));
  });

  it('that follows a join by claim needs no name of its own', () => {
    expect(rights([{ match: '*', join: true }], { join: 'claim' })).toEqual(without('publish'));
  });
});

describe('a node that denies by default', () => {
  const closed: RoomAccess = { match: null, join: 'server', publish: 'server', deniesByDefault: true };
  const opened: RoomAccess = { ...OPEN, match: 'chat', deniesByDefault: true };
  const everything = [{ match: '*', join: true, publish: true }];

  it('closes a room without a rule, whatever the token grants', () => {
    for (const identity of [null, ANN, user('ann', everything)]) {
      expect(permitted('chat', identity, closed)).toEqual(['leave']);
    }
  });

  it('takes a token without a claim for one that grants nothing', () => {
    expect(permitted('chat', ANN, opened)).toEqual(['leave']);
    expect(permitted('chat', user('ann', everything), opened)).toEqual(CLIENT_ACTIONS);
    expect(permitted('chat', null, opened)).toEqual(['join', 'leave', 'publish', 'members', 'history']);
  });

  it('leaves users their own personal rooms', () => {
    for (const access of [closed, opened]) {
      expect(permitted('$user:ann', ANN, access)).toEqual(['join', 'members', 'history', 'ack']);
    }
  });

  it('says so', () => {
    const say = (access: RoomAccess, identity: Identity | null) =>
      authorize('history', 'chat', { identity, rooms: [] }, access, NOBODY_KEPT_OUT)?.message;
    expect(say(closed, null)).toMatch(/"chat".*no rule matches.*defaultDeny/);
    expect(say({ ...closed, match: 'ch*' }, null)).toMatch(/its rule "ch\*" says join: server.*defaultDeny/);
    expect(say(opened, ANN)).toMatch(/"chat".*no rooms claim.*defaultDeny/);
  });
});

describe('a join', () => {
  const refusal = (asks: Partial<JoinAsks>, rooms: unknown, access: Partial<RoomAccess> = {}) =>
    authorizeJoin(
      'chat',
      { ...PLAIN_JOIN, ...asks },
      { identity: rooms === null ? null : user('ann', rooms), rooms: [] },
      { ...OPEN, ...access },
      NOBODY_KEPT_OUT,
    );

  it.each([
    ['history', { last: 1 }, 'last'],
    ['history', { resume: true }, 'resume'],
    ['ack', { resume: true }, 'resume'],
    ['members', { members: true }, 'members'],
    ['presence', { data: Uint8Array.of(1) }, 'data'],
  ] as const)('needs %s for %o', (right, asks, option) => {
    const all = Object.fromEntries(RIGHTS.map((name) => [name, true]));
    const lacking = [{ ...all, match: '*', [right]: false }];
    expect(refusal(asks, lacking)?.message).toMatch(
      new RegExp(`grant ${right} in "chat".*rooms claim.*Join without ${option}`),
    );
    expect(refusal({}, lacking)).toBeNull();
    expect(refusal(asks, [{ ...all, match: '*' }])).toBeNull();
    expect(refusal(asks, undefined, { access: { [right]: 'server' } })?.code).toBe('forbidden');
  });

  it('that asks for no message needs no history', () => {
    expect(refusal({ last: 0 }, [{ match: '*', join: true, history: false }])).toBeNull();
  });

  it('of an anonymous client resumes nothing, and so needs no right for it', () => {
    expect(refusal({ resume: true }, null)).toBeNull();
  });

  it('with data is refused where the rule says presenceData: false', () => {
    expect(refusal({ data: 1 }, undefined, { presenceData: false })?.message).toMatch(/presenceData: false/);
  });

  it('of a room without the right is refused first', () => {
    expect(refusal({ last: 1 }, [])?.message).toMatch(/grant join in "chat"/);
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
    for (const action of RIGHTS) {
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

  it('names the pattern of the rule, and of the entry in the claim', () => {
    const access: RoomAccess = { ...OPEN, match: 'ch*', access: { history: 'server', members: 'claim' } };
    expect(say('history', 'chat', ANN, access)).toBe(
      'only the server API may read the history of "chat": its rule "ch*" says access.history: server',
    );
    expect(say('members', 'chat', ANN, access)).toBe(
      'the token\'s rooms claim must grant members in "chat" by name: its rule "ch*" says access.members: claim',
    );
    expect(say('members', 'chat', null, access)).toMatch(/present a token whose rooms claim grants members/);
    const restricted = user('ann', [{ match: 'c*', join: true, publish: false }]);
    expect(say('publish', 'chat', restricted)).toBe(
      'the token does not grant publish in "chat": see "c*" in its rooms claim',
    );
    expect(say('publish', 'other', restricted)).toBe(
      'the token does not grant publish in "other": no entry of its rooms claim matches',
    );
  });
});
