/** What members bring, and what they know of each other, on one node. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { permissionsFrom } from '../../src/auth/permissions.ts';
import { type BackplaneEvents, unavailable } from '../../src/backplane/backplane.ts';
import { MemoryBackplane } from '../../src/backplane/memory/memory-backplane.ts';
import type { OwnEntry, PresenceChange, PresenceEvents } from '../../src/backplane/presence.ts';
import type { JoinResult, MembersResult, ServerFrame } from '../../src/protocol/frames.ts';
import { unpackValue } from '../../src/protocol/msgpack/values.ts';
import { systemClock } from '../../src/util/clock.ts';
import { type Device, LocalNode } from '../support/local-node.ts';
import { MemberList } from '../support/member-list.ts';
import { chaosSeed, Random } from '../support/random.ts';
import { OPEN } from '../support/rules.ts';
import { waitFor } from '../support/wait.ts';

const ALL = permissionsFrom(undefined);
const NODE_ID = 'node0001';
const DETAILED = 100;

/** A backplane that loses its lease, its events and its links when the test says so. */
class Unsteady extends MemoryBackplane {
  isDeaf = false;
  /** How often who is in a room was read. */
  reads = 0;
  /** Of the next reads. */
  failingReads = 0;
  readonly entered: { readonly room: string; readonly data: unknown }[] = [];
  leaseLost: () => void = () => undefined;
  changed: PresenceEvents['changed'] = () => undefined;
  resumed: BackplaneEvents['resumed'] = () => undefined;

  constructor() {
    super({ nodeId: NODE_ID, clock: systemClock, dedupWindowMs: 1000, metaTtlMs: 60_000, acksTtlMs: 60_000 });
    const { presence } = this;
    const [begin, enter] = [presence.start.bind(presence), presence.enter.bind(presence)];
    presence.start = (events: PresenceEvents) => {
      this.leaseLost = () => events.leaseLost();
      this.changed = (room, changes) => {
        if (!this.isDeaf) events.changed(room, changes);
      };
      return begin({ ...events, changed: this.changed, leaseLost: () => events.leaseLost() });
    };
    const [list, view] = [presence.list.bind(presence), presence.view.bind(presence)];
    presence.list = (...args) => {
      this.reads++;
      return list(...args);
    };
    presence.view = async (...args) => {
      this.reads++;
      if (this.failingReads-- > 0) throw unavailable('presence', 'not now');
      return view(...args);
    };
    presence.enter = (room: string, entry: OwnEntry, announce: boolean) => {
      this.entered.push({ room, data: entry.data && unpackValue(entry.data) });
      enter(room, entry, announce);
    };
  }

  override start(events: Parameters<MemoryBackplane['start']>[0]): Promise<void> {
    this.resumed = (has) => events.resumed(has);
    return super.start(events);
  }
}

let backplane: Unsteady;
let local: LocalNode<Unsteady>;

beforeEach(async () => {
  backplane = new Unsteady();
  local = await LocalNode.on(backplane, NODE_ID, (room) => {
    if (room.startsWith('plain')) return { ...OPEN, presenceData: false };
    if (room.startsWith('unseen')) return { ...OPEN, presence: false };
    return room.startsWith('quiet') ? { ...OPEN, memberEvents: false } : OPEN;
  });
});

afterEach(() => local.close());

function reply(device: Device, id: number): ServerFrame | undefined {
  return device.frames.find((frame) => (frame[0] === 'ok' || frame[0] === 'error') && frame[1] === id);
}

/** Resolves with the result, or with the code of the error. */
async function answer<R>(device: Device, id: number): Promise<R> {
  const frame = await waitFor(() => reply(device, id), { for: `the reply to ${id}` });
  return frame[2] as R;
}

async function join(device: Device, room: string, options: object = {}, id = 1): Promise<JoinResult> {
  device.send(['join', id, room, options]);
  return answer<JoinResult>(device, id);
}

function pushes(device: Device, type: 'member' | 'presence' | 'members'): ServerFrame[] {
  return device.frames.filter((frame) => frame[0] === type);
}

/** Resolves when a device was told that another joined, or itself. */
async function entered(told: Device, { connection }: Device): Promise<void> {
  const isIt = (frame: ServerFrame) =>
    frame[0] === 'member' && frame[2] === 'joined' && frame[3]?.connection === connection.id;
  await waitFor(() => told.frames.some(isIt), { for: 'the joined' });
}

async function list(room: string): Promise<MembersResult> {
  return local.node.server.listMembers(room, { limit: null, after: null });
}

describe('data', () => {
  it('that comes with a join is in the list and in what others are told', async () => {
    const ann = local.device('ann');
    await join(ann, 'room');
    const bob = local.device('bob');
    await join(bob, 'room', { data: { status: 'here' } });
    const who = { connection: bob.connection.id, user: 'bob', data: { status: 'here' } };
    await entered(ann, bob);
    expect(pushes(ann, 'member').at(-1)).toEqual(['member', 'room', 'joined', who, 2]);
    expect((await list('room')).members).toContainEqual(who);
  });

  it.each(['msgpack', 'json'] as const)('that changes is told to all members, over %s', async (encoding) => {
    const ann = local.device('ann', encoding);
    const bob = local.device('bob', encoding);
    await join(ann, 'room');
    await join(bob, 'room');
    bob.send(['presence', 2, 'room', { cursor: [3, 14] }]);
    expect(await answer(bob, 2)).toEqual({});
    const who = { connection: bob.connection.id, user: 'bob', data: { cursor: [3, 14] } };
    for (const device of [ann, bob]) {
      await waitFor(() => pushes(device, 'presence').length === 1);
      expect(pushes(device, 'presence')).toEqual([['presence', 'room', who]]);
    }
    bob.send(['presence', 3, 'room', null]);
    await waitFor(() => pushes(ann, 'presence').length === 2);
    expect(pushes(ann, 'presence')[1]).toEqual([
      'presence',
      'room',
      { connection: who.connection, user: 'bob' },
    ]);
  });

  it('cannot be taken for what the token says', async () => {
    const forged = { info: { admin: true }, user: 'root', connection: 'node0001-1' };
    const eve = local.device('eve');
    await join(eve, 'room', { ...forged, data: forged });
    eve.send(['presence', 2, 'room', { ...forged, again: true }]);
    await answer(eve, 2);
    await waitFor(() => pushes(eve, 'presence').length === 1);
    const { members } = await list('room');
    expect(members).toEqual([
      { connection: eve.connection.id, user: 'eve', data: { ...forged, again: true } },
    ]);
  });

  it('is refused to whom it is not open, with the reason', async () => {
    const ann = local.device('ann');
    const large = 'x'.repeat(1024);
    await join(ann, 'room');
    await join(ann, 'plain', {}, 2);
    await join(ann, 'unseen', {}, 3);
    ann.send(['presence', 10, 'elsewhere', 1]);
    ann.send(['presence', 11, 'room', large]);
    ann.send(['presence', 12, 'plain', 1]);
    ann.send(['presence', 13, 'unseen', 1]);
    ann.send(['presence', 14, '$user:ann', 1]);
    ann.send(['join', 20, 'other', { data: large }]);
    ann.send(['join', 21, 'plain', { data: 1 }]);
    ann.send(['join', 22, 'unseen', { data: 1 }]);
    ann.send(['join', 23, 'unseen', { members: true }]);
    ann.send(['join', 24, 'other', { data: 'x'.repeat(1021) }]);
    const codes = [10, 11, 12, 13, 14, 20, 21, 22, 23].map((id) => answer(ann, id));
    expect(await Promise.all(codes)).toEqual([
      'not_joined',
      'payload_too_large',
      'forbidden',
      'bad_request',
      'bad_request',
      'payload_too_large',
      'forbidden',
      'bad_request',
      'bad_request',
    ]);
    // 1,021 characters and a head of three bytes: the limit itself.
    expect(await answer(ann, 24)).toMatchObject({ offset: 0 });
    expect(reply(ann, 11)![3]).toBe(
      'presence data of 1027 bytes as MessagePack is too large: limits.presenceBytes is 1024',
    );
    expect(reply(ann, 12)![3]).toBe(
      'members of "plain" may not have data: its rule says presenceData: false',
    );
  });

  it('that follows a join in the same message counts', async () => {
    const ann = local.device('ann');
    ann.send(['join', 1, 'room', { data: 'first' }], ['presence', 2, 'room', 'second']);
    await answer(ann, 1);
    expect((await list('room')).members).toMatchObject([{ data: 'second' }]);
  });

  it('stays with the member that joins again, and ends with the membership', async () => {
    const ann = local.device('ann');
    await join(ann, 'room', { data: 'mine' });
    await join(ann, 'room', { last: 5 }, 2);
    expect((await list('room')).members).toMatchObject([{ data: 'mine' }]);
    ann.send(['leave', 3, 'room']);
    await join(ann, 'room', {}, 4);
    expect((await list('room')).members).toEqual([{ connection: ann.connection.id, user: 'ann' }]);
  });

  it('stays when the token is replaced, and others are told what the new one says', async () => {
    const watcher = local.device('watcher');
    await join(watcher, 'room');
    const nobody = local.device(null);
    await join(nobody, 'room', { data: 'mine' });
    nobody.identify('ann', ALL);
    const who = { connection: nobody.connection.id, user: 'ann', data: 'mine' };
    await waitFor(() => pushes(watcher, 'presence').length === 1);
    expect(pushes(watcher, 'presence')).toEqual([['presence', 'room', who]]);
    expect((await list('room')).members).toContainEqual(who);
  });

  it('is written again, as it is now, when the lease was lost', async () => {
    const ann = local.device('ann');
    await join(ann, 'room', { data: 'first' });
    ann.send(['presence', 2, 'room', 'second'], ['presence', 3, 'room', 'third']);
    await answer(ann, 3);
    backplane.entered.length = 0;
    backplane.leaseLost();
    expect(backplane.entered).toEqual([{ room: 'room', data: 'third' }]);
    expect((await list('room')).members).toMatchObject([{ data: 'third' }]);
  });

  it('is not entered before its join is answered where the lease was lost, and not left behind if that fails', async () => {
    const refusals: (() => void)[] = [];
    backplane.subscribe = () =>
      new Promise((_, reject) => refusals.push(() => reject(unavailable('subscribe', 'not now'))));
    const ann = local.device('ann');
    ann.send(['join', 1, 'room']);
    await waitFor(() => refusals.length === 1);
    backplane.leaseLost();
    expect((await list('room')).members).toEqual([]);
    refusals[0]!();
    expect(await answer(ann, 1)).toBe('unavailable');
    expect((await list('room')).members).toEqual([]);
  });

  it('of one member is written ten times a second at most', async () => {
    const ann = local.device('ann');
    await join(ann, 'room');
    backplane.entered.length = 0;
    const startedMs = performance.now();
    for (let n = 1; n <= 200; n++) {
      ann.send(['presence', 0, 'room', n]);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await waitFor(async () => (await list('room')).members[0]?.data === 200);
    const windows = Math.ceil((performance.now() - startedMs) / 100);
    expect(backplane.entered.length).toBeLessThanOrEqual(windows + 1);
    expect(local.metrics.presence.set).toBe(200);
  });
});

describe('a join that asks for the members', () => {
  it('gets them with the ok, itself included, and then what changes', async () => {
    const ann = local.device('ann');
    await join(ann, 'room', { data: 'a' });
    const bob = local.device('bob');
    const result = await join(bob, 'room', { data: 'b', members: true });
    const both = [
      { connection: ann.connection.id, user: 'ann', data: 'a' },
      { connection: bob.connection.id, user: 'bob', data: 'b' },
    ];
    expect(result).toMatchObject({ offset: 0, members: { count: 2, users: 2, members: both } });
    ann.send(['presence', 2, 'room', 'c']);
    await waitFor(() => pushes(bob, 'presence').length === 1);
    expect(MemberList.from('room', 1, bob.frames).members[0]).toMatchObject({ data: 'c' });
  });

  it('costs no read in a room that another one has asked about', async () => {
    await join(local.device('ann'), 'room', { members: true });
    backplane.reads = 0;
    const crowd = Array.from({ length: 50 }, (_, n) => local.device(`u${n}`));
    for (const device of crowd) device.send(['join', 1, 'room', { members: true, last: 10 }]);
    for (const device of crowd) await answer(device, 1);
    expect(backplane.reads).toBe(0);
  });

  it('gets them in a room without member events too', async () => {
    await join(local.device('ann'), 'quiet', { data: 'a' });
    const result = await join(local.device('bob'), 'quiet', { members: true });
    expect(result.members).toMatchObject({ count: 2, users: 2 });
    expect(result.members).not.toHaveProperty('partial');
  });

  it.each(['room', 'quiet'])('gets counts alone where they are too many: %s', async (room) => {
    for (let n = 0; n < DETAILED + 1; n++) await join(local.device(`u${n % 7}`), room);
    const result = await join(local.device('bob'), room, { members: true });
    expect(result.members).toEqual({ count: DETAILED + 1, users: 7, members: [], partial: true });
  });

  it('gets all messages that it asked for as well', async () => {
    const ann = local.device('ann');
    await join(ann, 'room');
    for (let n = 1; n <= 5; n++) ann.send(['publish', 0, 'room', n]);
    await waitFor(() => ann.told().length === 5);
    const bob = local.device('bob');
    bob.send(['join', 1, 'room', { members: true, last: 3 }], ['publish', 2, 'room', 6]);
    await answer(bob, 2);
    expect(bob.told(1)).toEqual(['ok', 3, 4, 5, 6]);
  });

  it('is answered while it waits: the connection may leave, or be gone', async () => {
    const ann = local.device('ann');
    ann.send(['join', 1, 'room', { members: true }], ['leave', 2, 'room']);
    expect(await answer(ann, 1)).toBe('not_joined');
    expect(ann.connection.rooms).toEqual([]);
  });
});

/** Its peer stops reading: it is off its topics when this resolves. */
async function pause({ socket, connection }: Device): Promise<void> {
  socket.buffered = 10_000_000;
  local.node.stalled(connection);
  await waitFor(() => socket.topics.size === 0);
}

async function resume({ socket, connection }: Device): Promise<void> {
  socket.buffered = 0;
  local.node.drained(connection);
  await waitFor(() => socket.topics.size > 0);
}

describe('a member that keeps the list', () => {
  it('has it right at any time, while others come, go and change', async () => {
    const seed = chaosSeed();
    const random = new Random(seed);
    const room = 'room';
    const devices = Array.from({ length: 30 }, (_, n) => local.device(`u${n}`));
    const watchers: { readonly device: Device; readonly id: number }[] = [];
    let id = 0;
    for (let round = 0; round < 60; round++) {
      for (let i = 0; i < 8; i++) {
        const device = random.pick(devices);
        const isIn = device.connection.rooms.includes(room);
        if (!isIn) device.send(['join', ++id, room, random.next() < 0.5 ? { data: id } : {}]);
        else if (random.next() < 0.3) device.send(['leave', ++id, room]);
        else device.send(['presence', ++id, room, id]);
      }
      const device = local.device(`w${round}`);
      device.send(['join', ++id, room, { members: true }]);
      watchers.push({ device, id });
      if (round % 3 === 0) await answer(device, id);
    }
    for (const { device, id } of watchers) await answer(device, id);
    // A last change, which everyone is told after all others.
    const last = local.device('last');
    await join(last, room, {}, ++id);
    const truth = async () => {
      const pages: MembersResult[] = [await list(room)];
      return pages[0]!.members.map(({ connection, data }) => [connection, data]);
    };
    for (const { device, id } of watchers) {
      await waitFor(
        async () => {
          const { members } = MemberList.from(room, id, device.frames);
          expect(members.map(({ connection, data }) => [connection, data])).toEqual(await truth());
          return true;
        },
        { for: `the list of ${device.connection.user}, seed ${seed}` },
      );
      expect(MemberList.from(room, id, device.frames).replaced).toBe(0);
    }
  });

  it('gets it anew when it read too slowly meanwhile', async () => {
    const ann = local.device('ann');
    await join(ann, 'room', { members: true });
    await pause(ann);
    const bob = local.device('bob');
    await join(bob, 'room', { data: 'b' });
    await entered(bob, bob);
    await resume(ann);
    await waitFor(() => pushes(ann, 'members').length === 1);
    const known = MemberList.from('room', 1, ann.frames);
    expect(known.members).toEqual((await list('room')).members);
    expect([...ann.socket.topics]).toEqual(['broom', 'mbroom']);
  });

  it('gets nothing anew when nothing changed while it read too slowly', async () => {
    const ann = local.device('ann');
    await join(ann, 'room', { members: true });
    // Its own entry comes after the ok.
    await entered(ann, ann);
    await pause(ann);
    await resume(ann);
    await waitFor(() => pushes(ann, 'members').length === 1);
    await pause(ann);
    await resume(ann);
    ann.send(['ping', 2]);
    await answer(ann, 2);
    expect(pushes(ann, 'members')).toHaveLength(1);
  });

  it('gets it anew when its node missed changes, which the next count shows', async () => {
    const ann = local.device('ann');
    await join(ann, 'room', { members: true });
    await entered(ann, ann);
    backplane.isDeaf = true;
    await join(local.device('bob'), 'room', { data: 'missed' });
    await list('room');
    backplane.isDeaf = false;
    await join(local.device('cid'), 'room');
    await waitFor(() => pushes(ann, 'members').length === 1);
    expect(MemberList.from('room', 1, ann.frames).members).toEqual((await list('room')).members);
  });

  it('gets it anew after the links were lost, if anything changed meanwhile', async () => {
    const [ann, bob] = [local.device('ann'), local.device('bob')];
    await join(bob, 'room', { data: 'old' });
    await join(ann, 'room', { members: true });
    await entered(ann, ann);
    backplane.resumed();
    await list('room');
    backplane.isDeaf = true;
    bob.send(['presence', 2, 'room', 'new']);
    await waitFor(async () => (await list('room')).members.some(({ data }) => data === 'new'));
    backplane.isDeaf = false;
    expect(pushes(ann, 'members')).toEqual([]);
    backplane.resumed();
    await waitFor(() => pushes(ann, 'members').length === 1);
    expect(MemberList.from('room', 1, ann.frames).members).toEqual((await list('room')).members);
  });

  it('gets it anew only of the rooms that may have missed something', async () => {
    const [ann, bob] = [local.device('ann'), local.device('bob')];
    for (const room of ['room', 'other']) {
      await join(bob, room, { data: 'old' });
      await join(ann, room, { members: true });
    }
    await entered(ann, ann);
    await list('other');
    backplane.isDeaf = true;
    bob.send(['presence', 2, 'room', 'new']);
    bob.send(['presence', 3, 'other', 'new']);
    for (const room of ['room', 'other'])
      await waitFor(async () => (await list(room)).members.some(({ data }) => data === 'new'));
    backplane.isDeaf = false;
    backplane.resumed((place) => place === 'other');
    await waitFor(() => pushes(ann, 'members').length === 1);
    expect(pushes(ann, 'members').map(([, room]) => room)).toEqual(['other']);
    backplane.resumed();
    await waitFor(() => pushes(ann, 'members').length === 2);
    expect(pushes(ann, 'members').map(([, room]) => room)).toEqual(['other', 'room']);
  });

  it('is told nothing older after it', async () => {
    const [ann, bob, cid] = [local.device('ann'), local.device('bob'), local.device('cid')];
    await join(bob, 'room');
    await join(cid, 'room');
    await join(ann, 'room', { members: true });
    await entered(ann, ann);
    const count = 3;
    const had = (device: Device, data: unknown): PresenceChange => {
      const who = { connection: device.connection.id, user: device.connection.user, data };
      return { change: 'changed', who, count };
    };
    // The first change is told at once, the second waits for the next window. Then the links are lost, and the
    // store, where nobody has data, is right.
    backplane.changed('room', [had(bob, 'told')]);
    backplane.changed('room', [had(cid, 'waits')]);
    backplane.resumed();
    await waitFor(() => pushes(ann, 'members').length === 1);
    bob.send(['presence', 2, 'room', 'newest']);
    await waitFor(() => pushes(ann, 'presence').some((frame) => JSON.stringify(frame).includes('newest')));
    expect(MemberList.from('room', 1, ann.frames).members).toEqual((await list('room')).members);
  });

  it('has none of a room that grew too large, and gets it when the room is small again', async () => {
    const ann = local.device('ann');
    await join(ann, 'room', { members: true });
    const crowd = Array.from({ length: DETAILED + 5 }, (_, n) => local.device(`u${n}`));
    for (const device of crowd) await join(device, 'room');
    await waitFor(() => MemberList.from('room', 1, ann.frames).isPartial, {
      for: 'a count in place of names',
    });
    crowd[0]!.send(['presence', 2, 'room', 'in a crowd']);
    await answer(crowd[0]!, 2);
    for (const device of crowd.slice(1, 20)) device.send(['leave', 3, 'room']);
    await waitFor(() => pushes(ann, 'members').length === 1, { for: 'the list' });
    const known = MemberList.from('room', 1, ann.frames);
    expect(known.isPartial).toBe(false);
    expect(known.members).toEqual((await list('room')).members);
    expect(known.members.filter(({ data }) => data === 'in a crowd')).toHaveLength(1);
    expect(pushes(ann, 'presence')).toEqual([]);
  });

  const crowd = Array.from({ length: DETAILED + 4 }, (_, n) => `u${n}`);
  const isIn = ({ connection }: Device) => connection.rooms.includes('room');

  /** Ann and the first of the others are in the room. */
  async function grow(devices: readonly Device[], size: number): Promise<void> {
    for (const device of devices.slice(0, size - 1)) if (!isIn(device)) device.send(['join', 1, 'room']);
    for (const device of devices.slice(size - 1)) if (isIn(device)) device.send(['leave', 2, 'room']);
    await waitFor(async () => (await list('room')).count === size, { for: `${size} members` });
  }

  /** The node reads the members again. */
  const NOTICED = {
    'the links were lost': () => backplane.resumed(),
    'the links were lost, and a read failed': () => {
      backplane.failingReads = 1;
      backplane.resumed();
    },
    'somebody asked': ([one]: readonly Device[]) => one!.send(['join', 3, 'room', { members: true }]),
  };

  it.each([
    ['grew large', 2, DETAILED + 5, 'the links were lost'],
    ['grew large', 2, DETAILED + 5, 'the links were lost, and a read failed'],
    ['grew and was large', DETAILED + 2, DETAILED + 5, 'the links were lost'],
    ['grew and was large', DETAILED + 2, DETAILED + 5, 'somebody asked'],
    ['was large and grew small', DETAILED + 5, 3, 'the links were lost'],
    ['was large and grew small', DETAILED + 5, 3, 'somebody asked'],
  ] as const)('gets it anew of a room that %s unseen, from %i members to %i, after %s', async (...row) => {
    const [, from, to, how] = row;
    const ann = local.device('ann');
    const devices = crowd.map((user) => local.device(user));
    await join(ann, 'room', { members: true });
    const known = () => MemberList.from('room', 1, ann.frames);
    const knows = (size: number) => known().count === size && known().isPartial === size > DETAILED;
    await grow(devices, from);
    await waitFor(() => knows(from), { for: `a list of ${from}` });
    backplane.isDeaf = true;
    await grow(devices, to);
    backplane.isDeaf = false;
    NOTICED[how](devices);
    await waitFor(() => knows(to), { for: `a list of ${to}` });
    if (to <= DETAILED) expect(known().members).toEqual((await list('room')).members);
  });

  it('counts a large room right that changed unseen, although what it is told afterwards adds up to nothing', async () => {
    const ann = local.device('ann');
    const devices = crowd.map((user) => local.device(user));
    await join(ann, 'room', { members: true });
    const count = () => MemberList.from('room', 1, ann.frames).count;
    await grow(devices, DETAILED + 2);
    await waitFor(() => count() === DETAILED + 2);
    backplane.isDeaf = true;
    await grow(devices, DETAILED + 3);
    backplane.isDeaf = false;
    await grow(devices, DETAILED + 2);
    await grow(devices, DETAILED + 3);
    await waitFor(() => count() === DETAILED + 3);
  });
});
