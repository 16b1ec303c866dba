/** Joins that wait for what their user has acknowledged, on a node whose store answers when the test says so. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ALL_PERMITTED } from '../../src/auth/identity.ts';
import type { Acked, Acks } from '../../src/backplane/acks.ts';
import { BackplaneError } from '../../src/backplane/backplane.ts';
import { MemoryBackplane } from '../../src/backplane/memory/memory-backplane.ts';
import { Connection } from '../../src/connection/connection.ts';
import type { ConnectionContext } from '../../src/connection/context.ts';
import { NodeMetrics } from '../../src/metrics/node-metrics.ts';
import { BrokerNode } from '../../src/node/broker-node.ts';
import type { RoomRule } from '../../src/node/rooms/room-rule.ts';
import { encodeCommand } from '../../src/protocol/client-codec.ts';
import { msgpackCodec } from '../../src/protocol/codec.ts';
import type { CommandFrame, ServerFrame } from '../../src/protocol/frames.ts';
import { systemClock } from '../../src/util/clock.ts';
import { silentLog } from '../../src/util/log.ts';
import { RateLimit } from '../../src/util/rate-limit.ts';
import { systemScheduler } from '../../src/util/scheduler.ts';

import { ListSocket } from '../support/list-socket.ts';
import { waitFor } from '../support/wait.ts';

const RULE: RoomRule = {
  history: { messages: 100, ageMs: 60_000 },
  presence: false,
  memberEvents: false,
  join: 'anyone',
  publish: 'anyone',
  acks: true,
  slowReaders: 'resume',
};

/** The memory backplane, whose lookups of what was acknowledged wait for the test. */
class Gated extends MemoryBackplane {
  readonly gates: { open(): void; fail(error: Error): void }[] = [];

  gate(): void {
    const get = this.acks.get.bind(this.acks);
    const gated: Acks['get'] = (...args) => {
      const opened = new Promise<void>((open, fail) => this.gates.push({ open, fail }));
      return opened.then((): Promise<Acked> => get(...args));
    };
    this.acks.get = gated;
  }
}

let backplane: Gated;
let node: BrokerNode;
let context: ConnectionContext;
let sockets: Map<Connection, ListSocket>;

beforeEach(async () => {
  backplane = new Gated({
    nodeId: 'node0001',
    clock: systemClock,
    dedupWindowMs: 1000,
    metaTtlMs: 60_000,
    acksTtlMs: 60_000,
  });
  backplane.gate();
  sockets = new Map();
  const metrics = new NodeMetrics();
  node = new BrokerNode({
    nodeId: 'node0001',
    backplane,
    sockets: { publish: (topic, message) => deliver(topic, message) },
    rule: () => RULE,
    limits: { roomsPerConnection: 10, historyPage: 100, membersPage: 100 },
    detailedMembers: 100,
    metrics,
    scheduler: systemScheduler,
    log: silentLog,
  });
  context = {
    services: node,
    flushQueue: node.flushQueue,
    authenticator: null,
    identified: () => undefined,
    rateLimit: new RateLimit(0, 0),
    maxRefusals: 10,
    maxHeldCommands: 10,
    maxUnsentBytes: 100_000,
    heartbeatMs: 25_000,
    maxPayloadBytes: 65_536,
    clock: systemClock,
    metrics,
    log: silentLog,
  };
  await node.start();
});

afterEach(() => node.close());

/** What uWebSockets.js does with a topic. */
function deliver(topic: string | Uint8Array, message: Uint8Array | string): boolean {
  for (const socket of sockets.values()) if (socket.topics.has(topic.toString())) socket.send(message);
  return true;
}

class Device {
  readonly socket = new ListSocket();
  readonly connection: Connection;

  constructor(user: string) {
    const identity = { user, expiresAtMs: null, permissions: ALL_PERMITTED };
    this.connection = new Connection(sockets.size + 1, this.socket, msgpackCodec, identity, context);
    sockets.set(this.connection, this.socket);
    node.hub.add(this.connection);
  }

  /** All in one WebSocket message. */
  send(...frames: readonly CommandFrame[]): void {
    const parts = frames.map((frame) => encodeCommand(frame, 'msgpack') as Uint8Array);
    this.connection.receive(Buffer.concat(parts));
  }

  get frames(): ServerFrame[] {
    return this.socket.frames;
  }

  /** Messages of the room, and the replies with these ids, in order. */
  told(...ids: readonly number[]): unknown[] {
    return this.frames
      .filter((frame) => frame[0] === 'message' || ids.includes(frame[1] as number))
      .map((frame) => (frame[0] === 'message' ? frame[5] : frame[0]));
  }
}

/** A room that is live on the node, with so many messages. */
async function warmRoom(messages: number): Promise<Device> {
  const keeper = new Device('keeper');
  keeper.send(['join', 1, 'room']);
  await waitFor(() => backplane.gates.length === 1);
  backplane.gates.shift()!.open();
  await waitFor(() => keeper.told(1).includes('ok'));
  for (let n = 1; n <= messages; n++) keeper.send(['publish', 0, 'room', n]);
  await waitFor(() => keeper.told().length === messages);
  return keeper;
}

describe('a join that waits for what its user acknowledged', () => {
  it('holds back what the same connection publishes after it, in order', async () => {
    await warmRoom(1);
    const phone = new Device('ann');
    phone.send(['join', 1, 'room'], ['publish', 2, 'room', 'a'], ['publish', 3, 'room', 'b']);
    const other = new Device('bob');
    other.send(['publish', 1, 'room', 'meanwhile']);
    await waitFor(() => other.told(1).includes('ok'));
    expect(phone.frames).toEqual([]);
    backplane.gates[0]!.open();
    await waitFor(() => phone.told().length === 2);
    expect(phone.told(1)).toEqual(['ok', 'a', 'b']);
    expect(phone.frames.find(([type]) => type === 'ok')).toMatchObject(['ok', 1, { offset: 2, acked: 0 }]);
  });

  it('gets with `resume` what came before and while it waited, once', async () => {
    const keeper = await warmRoom(5);
    const { epoch } = await backplane.read('room', RULE.history, { limit: 0 });
    await backplane.acks.ack('room', RULE.history, 'ann', [epoch, 3]);
    const phone = new Device('ann');
    phone.send(['join', 1, 'room', { resume: true }]);
    keeper.send(['publish', 9, 'room', 6]);
    await waitFor(() => keeper.told(9).includes('ok'));
    backplane.gates[0]!.open();
    await waitFor(() => phone.told().includes(6));
    keeper.send(['publish', 10, 'room', 7]);
    await waitFor(() => phone.told().includes(7));
    expect(phone.told(1)).toEqual(['ok', 4, 5, 6, 7]);
    expect(phone.frames[0]).toEqual(['ok', 1, { epoch, offset: 6, recovered: true, acked: 3 }]);
  });

  it('fails with the store, and is no membership then', async () => {
    const keeper = await warmRoom(0);
    const phone = new Device('ann');
    phone.send(['join', 1, 'room'], ['publish', 2, 'room', 'still sent']);
    backplane.gates[0]!.fail(new BackplaneError('timeout', 'acks', 'no answer'));
    await waitFor(() => keeper.told().includes('still sent'));
    await waitFor(() => phone.told(2).includes('ok'));
    expect(phone.told(1, 2)).toEqual(['error', 'ok']);
    expect(phone.frames[0]).toEqual(['error', 1, 'timeout', 'no answer']);
    expect(phone.connection.rooms).toEqual([]);
  });

  it('does not touch the membership that was made anew meanwhile, whatever becomes of it', async () => {
    const keeper = await warmRoom(0);
    const phone = new Device('ann');
    phone.send(['join', 1, 'room'], ['join', 2, 'room']);
    await waitFor(() => backplane.gates.length === 2);
    backplane.gates[1]!.open();
    await waitFor(() => phone.told(2).includes('ok'));
    backplane.gates[0]!.fail(new BackplaneError('timeout', 'acks', 'no answer'));
    keeper.send(['publish', 0, 'room', 'heard']);
    await waitFor(() => phone.told().includes('heard'));
    expect(phone.connection.rooms).toEqual(['room']);
    expect(phone.told(1, 2)).toEqual(['error', 'ok', 'heard']);
    expect(phone.frames[0]).toEqual(['error', 1, 'not_joined', expect.any(String)]);
  });

  it('does not come back to life after its room was left', async () => {
    const keeper = await warmRoom(0);
    const phone = new Device('ann');
    phone.send(['join', 1, 'room'], ['leave', 2, 'room']);
    backplane.gates[0]!.open();
    keeper.send(['publish', 0, 'room', 'unheard']);
    await waitFor(() => keeper.told().includes('unheard'));
    expect(phone.told(1, 2)).toEqual(['error', 'ok']);
    expect(phone.frames[0]).toEqual(['error', 1, 'not_joined', expect.any(String)]);
    expect([...phone.socket.topics]).toEqual([]);
  });

  it('of an anonymous connection does not wait', async () => {
    await warmRoom(0);
    const socket = new ListSocket();
    const nobody = new Connection(99, socket, msgpackCodec, null, context);
    node.hub.add(nobody);
    nobody.receive(encodeCommand(['join', 1, 'room', { resume: true }], 'msgpack') as Uint8Array);
    await waitFor(() => socket.frames.length === 1);
    expect(socket.frames[0]).toEqual(['ok', 1, { epoch: expect.any(String), offset: 0, recovered: false }]);
    expect(backplane.gates).toEqual([]);
  });
});
