/** Users and tokens that the server API revokes: their connections on nodes that hear of it at once, late, or from the store alone. */
import { beforeEach, describe, expect, it } from 'vitest';
import { ALL_PERMITTED, type Identity } from '../../src/auth/identity.ts';
import { Connection } from '../../src/connection/connection.ts';
import { sseCodec } from '../../src/protocol/sse/codec.ts';
import { type Client, World, type WorldNode } from '../support/world.ts';

const LONG_MS = 3_600_000;
let world: World;
let here: WorldNode;
let there: WorldNode;

beforeEach(async () => {
  world = new World();
  [here, there] = [await world.node(), await world.node()];
});

function withToken(node: WorldNode, user: string, tokenId: string): Client {
  const client = node.client(user);
  client.connection.identity = { ...client.connection.identity!, tokenId };
  return client;
}

function identity(user: string, tokenId: string): Identity {
  return { user, tokenId, expiresAtMs: null, permissions: ALL_PERMITTED };
}

async function call(work: Promise<unknown>): Promise<void> {
  await Promise.all([work, world.settle()]);
  await world.settle();
}

const isOpen = ({ connection }: Client) => connection.isOpen;

describe('revoking', () => {
  it('a user closes all its connections on every node, event streams too, and admits nobody', async () => {
    const [ann, other, bob] = [here.client('ann'), there.client('ann'), there.client('bob')];
    const socket = there.sockets.socket(1000);
    const stream = new Connection(99, socket, sseCodec, identity('ann', 'x'), there.context);
    there.broker.streamOpened(stream);
    await call(here.broker.server.revoke({ kind: 'user', id: 'ann' }, LONG_MS));
    expect([ann, other, bob].map(isOpen)).toEqual([false, false, true]);
    expect(stream.isOpen).toBe(false);
    expect(ann.socket.frames.at(-1)).toEqual(['error', 0, 'token_revoked', expect.any(String)]);
    for (const { broker } of [here, there]) {
      expect(broker.revocations.isRevoked(identity('ann', 'fresh'))).toBe(true);
      expect(broker.server.listRevocations(null)).toEqual([{ kind: 'user', id: 'ann', leftMs: LONG_MS }]);
    }
    await call(there.broker.server.endRevocation({ kind: 'user', id: 'ann' }));
    for (const { broker } of [here, there]) {
      expect(broker.revocations.isRevoked(identity('ann', 'fresh'))).toBe(false);
    }
  });

  it('older tokens of a user closes their connections, and admits newer ones', async () => {
    const at = 1_800_000_000_000;
    const issued = (node: WorldNode, user: string, issuedAtMs?: number): Client => {
      const client = node.client(user);
      client.connection.identity = {
        ...client.connection.identity!,
        ...(issuedAtMs !== undefined && { issuedAtMs }),
      };
      return client;
    };
    const clients = [
      issued(here, 'ann', at - 1),
      issued(there, 'ann', at),
      issued(there, 'ann'),
      issued(there, 'bob', at - 1),
    ];
    const target = { kind: 'user', id: 'ann', issuedBeforeMs: at } as const;
    await call(here.broker.server.revoke(target, LONG_MS));
    expect(clients.map(isOpen)).toEqual([false, true, false, true]);
    const isRevoked = ({ broker }: WorldNode, issuedAtMs: number) =>
      broker.revocations.isRevoked({ ...identity('ann', 'x'), issuedAtMs });
    const late = await world.node();
    for (const node of [here, there, late]) {
      expect([isRevoked(node, at - 1), isRevoked(node, at)]).toEqual([true, false]);
      expect(node.broker.revocations.isRevoked(identity('ann', 'x'))).toBe(true);
      expect(node.broker.server.listRevocations({ kind: 'user', id: 'ann' })).toEqual([
        { ...target, leftMs: LONG_MS },
      ]);
    }
    // A later one stands beside it, and both end together.
    await call(there.broker.server.revoke({ ...target, issuedBeforeMs: at + 1000 }, LONG_MS));
    expect(isRevoked(here, at)).toBe(true);
    await call(here.broker.server.endRevocation({ kind: 'user', id: 'ann' }));
    for (const node of [here, there, late]) {
      expect(isRevoked(node, at - 1)).toBe(false);
      expect(node.broker.server.listRevocations(null)).toEqual([]);
      expect(node.broker.revocations.counts).toEqual({ user: 0, token: 0 });
    }
    const again = await world.node();
    expect(isRevoked(again, at - 1)).toBe(false);
  });

  it('a token closes the connections that have it, and not those that were given another one since', async () => {
    const [ann, other, refreshed, bob] = [
      withToken(here, 'ann', 'x'),
      withToken(there, 'ann', 'y'),
      withToken(there, 'ann', 'x'),
      withToken(there, 'bob', 'x'),
    ];
    refreshed.connection.identity = identity('ann', 'z');
    await call(here.broker.server.revoke({ kind: 'token', id: 'x' }, LONG_MS));
    expect([ann, other, refreshed, bob].map(isOpen)).toEqual([false, true, true, false]);
  });

  it('many tokens at once looks at the connections once', async () => {
    const clients = Array.from({ length: 20 }, (_, n) => withToken(here, 'ann', `${n}`));
    let looks = 0;
    const { hub } = here.broker;
    const list = hub.connections.bind(hub);
    hub.connections = () => {
      looks++;
      return list();
    };
    const revoking = clients.map((_, n) =>
      there.broker.server.revoke({ kind: 'token', id: `${n}` }, LONG_MS),
    );
    await call(Promise.all(revoking));
    expect(clients.filter(isOpen)).toEqual([]);
    expect(looks).toBe(1);
  });
});

describe('a node that was cut off meanwhile', () => {
  it('closes the connections as soon as it is back', async () => {
    const [ann, bob] = [here.client('ann'), withToken(here, 'bob', 'x')];
    here.port.isCutOff = true;
    await call(there.broker.server.revoke({ kind: 'user', id: 'ann' }, LONG_MS));
    await call(there.broker.server.revoke({ kind: 'token', id: 'x' }, LONG_MS));
    await world.pass(100);
    expect([ann, bob].map(isOpen)).toEqual([true, true]);
    here.port.isCutOff = false;
    here.port.resume();
    await world.settle();
    expect([ann, bob].map(isOpen)).toEqual([false, false]);
  });
});

describe('after the store lost everything', () => {
  it('a node that was cut off, and comes back first, hears of it when another one gives it back', async () => {
    const ann = here.client('ann');
    here.port.isCutOff = true;
    await call(there.broker.server.revoke({ kind: 'user', id: 'ann' }, LONG_MS));
    world.store.loseDenials();
    here.port.isCutOff = false;
    here.port.resume();
    await world.settle();
    await world.pass(500);
    // Nobody could tell it.
    expect(isOpen(ann)).toBe(true);
    there.port.resume();
    await world.settle();
    await world.pass(500);
    await world.settle();
    expect(isOpen(ann)).toBe(false);
    const late = await world.node();
    expect(late.broker.revocations.isRevoked(identity('ann', 'x'))).toBe(true);
  });

  it('without a lost link, it has it back within a minute', async () => {
    await call(there.broker.server.revoke({ kind: 'token', id: 'x' }, LONG_MS));
    world.store.loseDenials();
    await world.pass(61_000);
    const late = await world.node();
    expect(late.broker.revocations.isRevoked(identity('ann', 'x'))).toBe(true);
  });
});
