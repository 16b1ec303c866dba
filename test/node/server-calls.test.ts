/** What the server API does to members, on nodes that hear of it at once, late, or in the middle of a join. */
import { beforeEach, describe, expect, it } from 'vitest';
import { ALL_PERMITTED } from '../../src/auth/identity.ts';
import { Connection } from '../../src/connection/connection.ts';
import type { ErrorFrame, JoinedFrame, RemovedFrame, ServerFrame } from '../../src/protocol/frames.ts';
import { sseCodec } from '../../src/protocol/sse/codec.ts';
import { listsOf } from '../support/denial-lists.ts';
import { type Client, ROOM, World, type WorldNode } from '../support/world.ts';

let world: World;
let here: WorldNode;
let there: WorldNode;

beforeEach(async () => {
  world = new World();
  [here, there] = [await world.node(), await world.node()];
});

function last<F extends ServerFrame>(client: Client, type: F[0]): F | undefined {
  return client.socket.frames.filter((frame) => frame[0] === type).at(-1) as F | undefined;
}

async function joined(node: WorldNode, user: string): Promise<Client> {
  const client = node.client(user);
  client.join();
  await world.settle();
  return client;
}

/** What an event stream of this user is to the node. */
function stream(node: WorldNode, user: string): Connection {
  const identity = { user, expiresAtMs: null, permissions: ALL_PERMITTED };
  const connection = new Connection(99, node.sockets.socket(1000), sseCodec, identity, node.context);
  node.broker.streamOpened(connection);
  return connection;
}

async function call(work: Promise<unknown>): Promise<void> {
  await Promise.all([work, world.settle()]);
  await world.settle();
}

describe('removing a user from a room', () => {
  it('ends the memberships on every node, and keeps the user out for as long as it says', async () => {
    const [ann, other, bob] = [
      await joined(here, 'ann'),
      await joined(there, 'ann'),
      await joined(there, 'bob'),
    ];
    await call(here.broker.server.removeFromRoom(ROOM, 'ann', { reason: 'spam', forMs: 5_000 }));
    for (const client of [ann, other]) {
      expect(last<RemovedFrame>(client, 'removed')).toEqual(['removed', ROOM, 'spam']);
      client.join();
      client.publish('no');
    }
    await world.settle();
    for (const client of [ann, other]) {
      const [, , code, , details] = last<ErrorFrame>(client, 'error')!;
      expect([code, details]).toEqual(['forbidden', { retryAfterMs: 5_000 }]);
    }
    bob.publish('yes');
    await world.settle();
    expect(bob.told()).toBe('ok@0 yes');
    await world.pass(5_000);
    other.join();
    await world.settle();
    expect(other.told().endsWith('ok@1')).toBe(true);
    for (const client of [ann, other, bob]) expect(client.brokenPromises()).toEqual([]);
  });

  it('without a time only ends the memberships', async () => {
    const ann = await joined(there, 'ann');
    await call(here.broker.server.removeFromRoom(ROOM, 'ann', { reason: '', forMs: null }));
    expect(last<RemovedFrame>(ann, 'removed')).toEqual(['removed', ROOM, 'removed by the server']);
    ann.join();
    await world.settle();
    expect(ann.told()).toBe('ok@0 removed ok@0');
  });

  it('ends a join that waits, and what waits for it is not published', async () => {
    there.port.reads.shut();
    const ann = there.client('ann');
    ann.send(ann.joinFrame(), ann.publishFrame('held'));
    await world.settle();
    await call(here.broker.server.removeFromRoom(ROOM, 'ann', { reason: 'spam', forMs: 5_000 }));
    there.port.reads.open();
    await world.settle();
    expect(ann.told()).toBe('error:forbidden removed error:forbidden');
    const errors = ann.socket.frames.filter(([type]) => type === 'error') as ErrorFrame[];
    expect(errors.map(([, , , , details]) => details)).toEqual([
      { retryAfterMs: 5_000 },
      { retryAfterMs: 5_000 },
    ]);
    expect(world.store.room(ROOM).offset).toBe(0);
  });

  it('reaches a node that was cut off when it is back', async () => {
    const ann = await joined(there, 'ann');
    there.port.isCutOff = true;
    await call(here.broker.server.removeFromRoom(ROOM, 'ann', { reason: 'spam', forMs: 60_000 }));
    expect(ann.told()).toBe('ok@0');
    there.port.isCutOff = false;
    there.port.resume();
    await world.settle();
    expect(last<RemovedFrame>(ann, 'removed')).toEqual(['removed', ROOM, 'removed by the server']);
    ann.join();
    await world.settle();
    expect(ann.told()).toBe('ok@0 removed error:forbidden');
  });

  it('is known to a node that starts later', async () => {
    await call(here.broker.server.removeFromRoom(ROOM, 'ann', { reason: '', forMs: 60_000 }));
    const ann = (await world.node()).client('ann');
    ann.join();
    await world.settle();
    expect(ann.told()).toBe('error:forbidden');
  });
});

describe('putting a user into a room', () => {
  it('makes all connections members, and tells each where it stands before any message', async () => {
    const pub = await joined(here, 'pub');
    pub.publish('before');
    await world.settle();
    const [ann, other] = [here.client('ann'), there.client('ann', 'json')];
    await call(here.broker.server.addToRoom(ROOM, 'ann'));
    pub.publish('after');
    await world.settle();
    const epoch = world.store.room(ROOM).epoch;
    for (const client of [ann, other]) {
      expect(client.told()).toBe('joined after');
      expect(last<JoinedFrame>(client, 'joined')).toEqual([
        'joined',
        ROOM,
        { epoch, offset: 1, recovered: false },
      ]);
    }
  });

  it('does nothing to those that are in it', async () => {
    const ann = await joined(there, 'ann');
    await call(here.broker.server.addToRoom(ROOM, 'ann'));
    expect(ann.told()).toBe('ok@0');
  });

  it('ends the time for which the user is kept out', async () => {
    const ann = await joined(there, 'ann');
    await call(here.broker.server.removeFromRoom(ROOM, 'ann', { reason: '', forMs: 60_000 }));
    await call(here.broker.server.addToRoom(ROOM, 'ann'));
    expect(ann.told()).toBe('ok@0 removed joined');
    expect(listsOf(await here.port.denials.read())).toEqual({ denied: [], lifted: [`r:${ROOM}*ann`] });
  });

  it('ends it on a node that was cut off meanwhile', async () => {
    await call(here.broker.server.removeFromRoom(ROOM, 'ann', { reason: '', forMs: 60_000 }));
    there.port.isCutOff = true;
    await call(here.broker.server.addToRoom(ROOM, 'ann'));
    const ann = there.client('ann');
    ann.join();
    await world.settle();
    there.port.isCutOff = false;
    there.port.resume();
    await world.settle();
    ann.join();
    await world.settle();
    expect(ann.told()).toBe('error:forbidden ok@0');
  });

  it('passes over connections that may not join it, or are in too many rooms', async () => {
    world = new World({ rules: { closed: { join: 'nobody' } } });
    here = await world.node();
    const ann = here.client('ann');
    await call(here.broker.server.addToRoom('closed', 'ann'));
    for (let n = 0; n < 10; n++) ann.join({}, `room:${n}`);
    await world.settle();
    await call(here.broker.server.addToRoom(ROOM, 'ann'));
    expect(last(ann, 'joined')).toBeUndefined();
  });

  it('passes over event streams: their positions are those of the rooms that they named', async () => {
    const ann = here.client('ann');
    const events = stream(here, 'ann');
    here.context.commands.join(events, {
      type: 'join',
      id: 1,
      room: 'named',
      since: null,
      resume: false,
      last: null,
      data: null,
      members: false,
    });
    await world.settle();
    await call(here.broker.server.addToRoom(ROOM, 'ann'));
    expect(ann.told()).toBe('joined');
    expect(events.rooms).toEqual(['named']);
  });
});

describe('deleting the history of a room', () => {
  it('resets the members on every node to where the numbers go on', async () => {
    const [pub, ann] = [await joined(here, 'pub'), await joined(there, 'ann')];
    pub.publish(1, 2);
    await world.settle();
    await call(here.broker.server.clearHistory(ROOM));
    pub.publish(3);
    await world.settle();
    expect(ann.told()).toBe('ok@0 1 2 reset@2 3');
    expect(pub.told()).toBe('ok@0 1 2 reset@2 3');
    const late = here.client('late');
    late.join({ last: 10 });
    await world.settle();
    expect(late.told()).toBe('ok@3/2 3');
    for (const client of [pub, ann]) expect(client.brokenPromises()).toEqual([]);
  });

  it('reaches a node that was cut off with the next message, or when it is back', async () => {
    const [pub, ann] = [await joined(here, 'pub'), await joined(there, 'ann')];
    pub.publish(1, 2);
    await world.settle();
    there.port.isCutOff = true;
    await call(here.broker.server.clearHistory(ROOM));
    expect(ann.told()).toBe('ok@0 1 2');
    there.port.resume();
    await world.settle();
    expect(ann.told()).toBe('ok@0 1 2 reset@2');
  });
});

describe('deleting the history of a room that is being read', () => {
  /** What the store answers a node is on its way until `arrive`. */
  function slowReads(node: WorldNode): { arrive(): void } {
    const read = node.port.read.bind(node.port);
    let arrive = (): void => undefined;
    const arrived = new Promise<void>((resolve) => {
      arrive = resolve;
    });
    node.port.read = async (...args) => {
      const page = await read(...args);
      await arrived;
      return page;
    };
    return {
      arrive() {
        node.port.read = read;
        arrive();
      },
    };
  }

  it('resets those who join it on a node that is opening it', async () => {
    const pub = await joined(here, 'pub');
    pub.publish(1, 2);
    await world.settle();
    const reads = slowReads(there);
    const ann = there.client('ann');
    ann.join();
    await world.settle();
    await call(here.broker.server.clearHistory(ROOM));
    reads.arrive();
    await world.settle();
    expect(ann.told()).toBe('ok@2 reset@2');
    expect(ann.brokenPromises()).toEqual([]);
  });

  it('resets the members of a node that is reading what it missed', async () => {
    const [pub, ann] = [await joined(here, 'pub'), await joined(there, 'ann')];
    pub.publish(1, 2);
    await world.settle();
    const reads = slowReads(there);
    there.port.resume();
    await world.settle();
    await call(here.broker.server.clearHistory(ROOM));
    reads.arrive();
    await world.settle();
    expect(ann.told()).toBe('ok@0 1 2 reset@2');
    expect(ann.brokenPromises()).toEqual([]);
  });
});

describe('whether a user is online', () => {
  it('is told with the number of nodes, by every node', async () => {
    expect(await here.broker.server.statusOfUser('ann')).toEqual({ online: false, nodes: 0 });
    const [one, two] = [here.client('ann'), there.client('ann')];
    here.client('ann');
    await world.settle();
    for (const { broker } of [here, there]) {
      expect(await broker.server.statusOfUser('ann')).toEqual({ online: true, nodes: 2 });
    }
    two.socket.cut();
    await world.settle();
    // The node that it left knows at once, the other one some seconds later.
    expect(await there.broker.server.statusOfUser('ann')).toEqual({ online: true, nodes: 1 });
    await world.pass(6_000);
    expect(await here.broker.server.statusOfUser('ann')).toEqual({ online: true, nodes: 1 });
    expect(one.connection.isOpen).toBe(true);
  });

  it('counts event streams, which are not in the personal room', async () => {
    const events = stream(there, 'ann');
    await world.settle();
    await world.pass(10_000);
    for (const { broker } of [here, there]) {
      expect(await broker.server.statusOfUser('ann')).toEqual({ online: true, nodes: 1 });
    }
    expect(events.rooms).toEqual([]);
    there.broker.disconnected(events);
    await world.pass(6_000);
    expect(await here.broker.server.statusOfUser('ann')).toEqual({ online: false, nodes: 0 });
  });

  it('goes on to count an event stream when the other connections of its user are gone', async () => {
    const ann = there.client('ann');
    await world.settle();
    stream(there, 'ann');
    ann.socket.cut();
    await world.settle();
    await world.pass(10_000);
    expect(await here.broker.server.statusOfUser('ann')).toEqual({ online: true, nodes: 1 });
  });

  it('counts an event stream that opened while the store did not answer', async () => {
    there.port.subscribes.fail(1);
    stream(there, 'ann');
    await world.settle();
    await world.pass(10_000);
    expect(await here.broker.server.statusOfUser('ann')).toEqual({ online: true, nodes: 1 });
  });
});
