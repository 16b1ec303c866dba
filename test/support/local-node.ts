/** A node in this process, on the memory backplane unless a test brings another, with devices on lists in place of sockets. */
import { ALL_PERMITTED, type Identity, type Permissions } from '../../src/auth/identity.ts';
import type { Backplane } from '../../src/backplane/backplane.ts';
import { MemoryBackplane } from '../../src/backplane/memory/memory-backplane.ts';
import type { RoomRule } from '../../src/config/room-rule.ts';
import { clientCommands } from '../../src/connection/commands.ts';
import { Connection } from '../../src/connection/connection.ts';
import type { ConnectionContext } from '../../src/connection/context.ts';
import { sendingLimits } from '../../src/connection/sending-limits.ts';
import { NodeMetrics } from '../../src/metrics/node-metrics.ts';
import { BrokerNode } from '../../src/node/broker-node.ts';
import { encodeCommand } from '../../src/protocol/client-codec.ts';
import { serverCodec } from '../../src/protocol/codec.ts';
import type { CommandFrame, ServerFrame } from '../../src/protocol/frames.ts';
import type { Encoding } from '../../src/protocol/subprotocol.ts';
import { systemClock } from '../../src/util/clock.ts';
import { silentLog } from '../../src/util/log.ts';
import { systemScheduler } from '../../src/util/scheduler.ts';
import { HELLO_FACTS } from './hello-facts.ts';
import { ListSocket } from './list-socket.ts';
import { NO_LIMITS } from './no-limits.ts';

/** The memory backplane, whose lookups of what was acknowledged wait for the test, once `gate` was called. */
export class GatedBackplane extends MemoryBackplane {
  readonly gates: { open(): void; fail(error: Error): void }[] = [];

  gate(): void {
    const { acks } = this;
    const [get, start] = [acks.get.bind(acks), acks.start.bind(acks)];
    const opened = () => new Promise<void>((open, fail) => this.gates.push({ open, fail }));
    acks.get = (...args) => opened().then(() => get(...args));
    acks.start = (...args) => opened().then(() => start(...args));
  }
}

const NODE_ID = 'node0001';

function gatedMemory(): GatedBackplane {
  const times = { dedupWindowMs: 1000, metaTtlMs: 60_000, acksTtlMs: 60_000 };
  return new GatedBackplane({ nodeId: NODE_ID, clock: systemClock, ...times });
}

export class LocalNode<B extends Backplane = GatedBackplane> {
  readonly backplane: B;
  readonly metrics = new NodeMetrics();
  readonly node: BrokerNode;
  readonly #sockets: ListSocket[] = [];
  readonly #context: ConnectionContext<Connection>;

  private constructor(rule: (room: string) => RoomRule, backplane: B, nodeId: string) {
    this.backplane = backplane;
    const shared = { metrics: this.metrics, clock: systemClock, log: silentLog };
    this.node = new BrokerNode({
      ...shared,
      nodeId,
      backplane: this.backplane,
      sockets: { publish: (topic, message) => this.#deliver(topic, message) },
      scheduler: systemScheduler,
      rule,
      limits: { roomsPerConnection: 10, historyPage: 100, membersPage: 100, presenceBytes: 1024 },
      detailedMembers: 100,
      dataBytesPerSecond: 0,
    });
    const commands = clientCommands({
      services: this.node,
      access: rule,
      keptOut: this.node.keptOut,
      authenticator: null,
      userFull: () => null,
      identified: () => undefined,
      log: silentLog,
    });
    this.#context = {
      ...shared,
      nodeId,
      commands,
      flushQueue: this.node.flushQueue,
      mustAuthenticate: false,
      stalled: (connection) => this.node.stalled(connection),
      limits: sendingLimits(NO_LIMITS),
      maxBytesBeforeAuth: 65_536,
      turn: this.node.endOfTurn,
      turns: this.node.commandTurns,
      maxUnsentBytes: 100_000,
      heartbeatMs: 25_000,
      maxPayloadBytes: 65_536,
      facts: HELLO_FACTS,
    };
  }

  static start(rule: (room: string) => RoomRule): Promise<LocalNode> {
    return LocalNode.on(gatedMemory(), NODE_ID, rule);
  }

  /** `backplane`: of this node, and not started. */
  static async on<B extends Backplane>(
    backplane: B,
    nodeId: string,
    rule: (room: string) => RoomRule,
  ): Promise<LocalNode<B>> {
    const local = new LocalNode(rule, backplane, nodeId);
    await local.node.start();
    return local;
  }

  close(): Promise<void> {
    return this.node.close();
  }

  /** A connection of this user, or an anonymous one. It is not in the personal room. */
  device(user: string | null, encoding: Encoding = 'msgpack', permissions = ALL_PERMITTED): Device {
    const socket = new ListSocket();
    const identity = user === null ? null : identityOf(user, permissions);
    const number = this.#sockets.push(socket);
    const connection = new Connection(number, socket, serverCodec(encoding), identity, this.#context);
    this.node.hub.add(connection);
    return new Device(this.node, connection, socket);
  }

  /** What uWebSockets.js does with a topic. */
  #deliver(topic: string, message: Uint8Array | string): void {
    for (const socket of this.#sockets) if (socket.topics.has(topic)) socket.send(message);
  }
}

export function identityOf(user: string, permissions: Permissions): Identity {
  return { user, expiresAtMs: null, permissions };
}

export class Device {
  readonly socket: ListSocket;
  readonly connection: Connection;
  readonly #node: BrokerNode;

  constructor(node: BrokerNode, connection: Connection, socket: ListSocket) {
    this.#node = node;
    this.connection = connection;
    this.socket = socket;
  }

  /** All in one WebSocket message. */
  send(...frames: readonly CommandFrame[]): void {
    const encoding = this.connection.codec.encoding === 'json' ? 'json' : 'msgpack';
    const parts = frames.map((frame) => Buffer.from(encodeCommand(frame, encoding)));
    const separator = Buffer.from(encoding === 'json' ? '\n' : '');
    this.connection.receive(Buffer.concat(parts.flatMap((part) => [part, separator])));
  }

  /** Its token is replaced by one of this user with these permissions. */
  identify(user: string, permissions: Permissions): void {
    this.#node.identified(this.connection, identityOf(user, permissions));
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
