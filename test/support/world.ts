/** A cluster in one process that does nothing unless a test says so: nodes, their store, and the peers of their sockets. */
import { ALL_PERMITTED } from '../../src/auth/identity.ts';
import type { RoomRule } from '../../src/config/room-rule.ts';
import { clientCommands } from '../../src/connection/commands.ts';
import { Connection } from '../../src/connection/connection.ts';
import type { ConnectionContext } from '../../src/connection/context.ts';
import { sendingLimits } from '../../src/connection/sending-limits.ts';
import { NodeMetrics } from '../../src/metrics/node-metrics.ts';
import { BrokerNode } from '../../src/node/broker-node.ts';
import { encodeCommand } from '../../src/protocol/client-codec.ts';
import { jsonCodec, msgpackCodec } from '../../src/protocol/codec.ts';
import type { CommandFrame, ServerFrame } from '../../src/protocol/frames.ts';
import type { Encoding } from '../../src/protocol/subprotocol.ts';
import { silentLog } from '../../src/util/log.ts';
import { FakeScheduler } from './fake-scheduler.ts';
import { HELLO_FACTS } from './hello-facts.ts';
import { NO_LIMITS } from './no-limits.ts';
import { brokenPromises } from './promises.ts';
import { ScriptedStore, type StorePort } from './scripted-store.ts';
import { UwsModel, type UwsSocket } from './uws-model.ts';

const RULE: RoomRule = {
  history: { messages: 100, ageMs: 60_000 },
  presence: false,
  memberEvents: false,
  join: 'anyone',
  publish: 'anyone',
  acks: false,
  presenceData: true,
  slowReaders: 'resume',
};

/** The room of all scenarios that need one. */
export const ROOM = 'room';

export interface WorldOptions {
  /** What differs from a room with a history of 100 messages. */
  readonly rule?: Partial<RoomRule>;
  /** Rules of single rooms. */
  readonly rules?: Readonly<Record<string, Partial<RoomRule>>>;
  /** Bytes that may wait for a socket. */
  readonly maxBackpressure?: number;
  /** Bytes of replies that a connection keeps beyond them. */
  readonly maxUnsentBytes?: number;
}

export class World {
  readonly scheduler = new FakeScheduler();
  readonly store = new ScriptedStore();
  readonly nodes: WorldNode[] = [];
  readonly clients: Client[] = [];
  readonly options: WorldOptions;
  #lastId = 0;

  constructor(options: WorldOptions = {}) {
    this.options = options;
  }

  rule(room: string): RoomRule {
    return { ...RULE, ...this.options.rule, ...this.options.rules?.[room] };
  }

  async node(): Promise<WorldNode> {
    const node = new WorldNode(this, `node000${this.nodes.length + 1}`);
    this.nodes.push(node);
    await node.broker.start();
    return node;
  }

  /** An id for a command that wants a reply: none is given twice. */
  nextId(): number {
    return ++this.#lastId;
  }

  /** Goes on until nothing is left to do but to wait for a timer, a gate or a peer. */
  readonly settle = async (): Promise<void> => {
    do {
      // All that promises have to do.
      await new Promise(setImmediate);
      this.#drain();
      this.scheduler.endTurn(() => this.#drain());
    } while (this.scheduler.hasEndOfTurn || (await this.#promisesLeft()));
  };

  async #promisesLeft(): Promise<boolean> {
    await new Promise(setImmediate);
    this.#drain();
    return this.scheduler.hasEndOfTurn;
  }

  #drain(): void {
    for (const node of this.nodes) node.sockets.drain();
  }

  /** Lets time pass. */
  pass(milliseconds: number): Promise<void> {
    return this.scheduler.pass(milliseconds, this.settle);
  }
}

export class WorldNode {
  readonly world: World;
  readonly broker: BrokerNode;
  readonly port: StorePort;
  readonly sockets = new UwsModel();
  readonly metrics = new NodeMetrics();
  readonly context: ConnectionContext<Connection>;
  #lastNumber = 0;

  constructor(world: World, nodeId: string) {
    this.world = world;
    const { scheduler, store, options } = world;
    this.port = store.port(nodeId, scheduler);
    this.broker = new BrokerNode({
      nodeId,
      backplane: this.port,
      sockets: this.sockets,
      rule: (room) => world.rule(room),
      limits: { roomsPerConnection: 10, historyPage: 100, membersPage: 100, presenceBytes: 1024 },
      detailedMembers: 100,
      dataBytesPerSecond: 0,
      metrics: this.metrics,
      scheduler,
      log: silentLog,
    });
    const commands = clientCommands({
      services: this.broker,
      access: (room) => world.rule(room),
      keptOut: this.broker.keptOut,
      authenticator: null,
      userFull: () => null,
      identified: (connection, identity) => this.broker.identified(connection, identity),
      log: silentLog,
    });
    this.context = {
      nodeId,
      commands,
      flushQueue: this.broker.flushQueue,
      mustAuthenticate: false,
      stalled: (connection) => this.broker.stalled(connection),
      limits: sendingLimits(NO_LIMITS),
      maxBytesBeforeAuth: 65_536,
      turn: this.broker.endOfTurn,
      turns: this.broker.commandTurns,
      maxUnsentBytes: options.maxUnsentBytes ?? 4000,
      heartbeatMs: 25_000,
      maxPayloadBytes: 65_536,
      facts: HELLO_FACTS,
      clock: scheduler,
      metrics: this.metrics,
      log: silentLog,
    };
  }

  /** A connection of this user; of nobody for null. */
  client(user: string | null, encoding: Encoding = 'msgpack'): Client {
    const client = new Client(this, ++this.#lastNumber, user, encoding);
    this.world.clients.push(client);
    return client;
  }
}

/** One message that its peers tell apart by its label; with `bytes` it is about so long. */
export interface Labelled {
  readonly label: string;
  readonly bytes: number;
}

type JoinOptions = { since?: [string, number]; resume?: boolean; last?: number };

/** What a join was answered, as far as it is looked at. */
interface Answer {
  readonly offset: number;
  readonly recovered: boolean;
  readonly from?: number;
}

/** A peer with its socket and its connection. */
export class Client {
  readonly node: WorldNode;
  readonly user: string | null;
  readonly socket: UwsSocket;
  readonly connection: Connection;
  readonly #encoding: Encoding;
  /** What the replies with these ids are called in `told`. */
  readonly #asked = new Map<number, string>();
  /** Where joins of `ROOM` with a position asked to begin. */
  readonly #since = new Map<number, number>();
  /** Joins that asked to begin where the user left off. */
  readonly #resumed = new Set<number>();
  /** Offsets in `ROOM` of what it published without an echo. */
  readonly unheard = new Set<number>();

  constructor(node: WorldNode, number: number, user: string | null, encoding: Encoding) {
    this.node = node;
    this.user = user;
    this.#encoding = encoding;
    const codec = encoding === 'json' ? jsonCodec : msgpackCodec;
    const identity = user === null ? null : { user, expiresAtMs: null, permissions: ALL_PERMITTED };
    this.socket = node.sockets.socket(node.world.options.maxBackpressure ?? 1000);
    this.connection = new Connection(number, this.socket, codec, identity, node.context);
    this.socket.events = {
      dropped: (message) => node.broker.dropped(this.connection, message),
      drained: () => this.#handled(() => node.broker.drained(this.connection)),
      closed: () => {
        this.connection.closed();
        node.broker.disconnected(this.connection);
      },
    };
    node.broker.connected(this.connection);
  }

  /** Sends commands in one WebSocket message. */
  send(...frames: readonly CommandFrame[]): void {
    const parts = frames.map((frame) => encodeCommand(frame, this.#encoding));
    const message =
      this.#encoding === 'json' ? Buffer.from(parts.join('\n')) : Buffer.concat(parts as Buffer[]);
    this.#handled(() => this.connection.receive(message));
  }

  #handled(work: () => void): void {
    const { sockets } = this.node;
    sockets.isHandling = true;
    work();
    sockets.isHandling = false;
  }

  joinFrame(options: JoinOptions = {}, room = ROOM): CommandFrame {
    const id = this.#ask('ok');
    if (options.since) this.#since.set(id, options.since[1]);
    if (options.resume) this.#resumed.add(id);
    return ['join', id, room, options];
  }

  leaveFrame(room = ROOM): CommandFrame {
    return ['leave', this.#ask('left'), room];
  }

  /** A signal, which the members are told as `~label`. */
  signalFrame(label: string | number, bytes = 0, echo = true, room = ROOM): CommandFrame {
    const options = echo ? { ephemeral: true } : { ephemeral: true, echo };
    return ['publish', this.#ask(`sent:${label}`), room, String(label).padEnd(bytes, '.'), options];
  }

  /** A message that takes the place of earlier ones with the key. */
  conflatedFrame(label: string | number, conflateKey: string, bytes = 0, room = ROOM): CommandFrame {
    const data = String(label).padEnd(bytes, '.');
    return ['publish', this.#ask(`sent:${label}`), room, data, { conflateKey }];
  }

  publishFrame(label: string | number, bytes = 0, echo = true, room = ROOM): CommandFrame {
    const options = echo ? {} : { echo };
    return ['publish', this.#ask(`sent:${label}`), room, String(label).padEnd(bytes, '.'), options];
  }

  #ask(what: string): number {
    const id = this.node.world.nextId();
    this.#asked.set(id, what);
    return id;
  }

  join(options: JoinOptions = {}, room = ROOM): void {
    this.send(this.joinFrame(options, room));
  }

  /** Joins after an offset of the epoch that the room has now. */
  joinSince(offset: number, room = ROOM): void {
    this.join({ since: [this.node.world.store.room(room).epoch, offset] }, room);
  }

  leave(room = ROOM): void {
    this.send(this.leaveFrame(room));
  }

  /** Publishes in one WebSocket message: what is sent in one turn is one envelope. */
  publish(...labels: readonly (string | number)[]): void {
    this.send(...labels.map((label) => this.publishFrame(label)));
  }

  /** The same with messages of about so many bytes. */
  publishBig(bytes: number, ...labels: readonly (string | number)[]): void {
    this.send(...labels.map((label) => this.publishFrame(label, bytes)));
  }

  /** See `brokenPromises`. */
  brokenPromises(): string[] {
    return brokenPromises({
      frames: this.socket.frames,
      room: ROOM,
      joinedAt: (id, result) => this.#joinedAt(id, result),
      isLeave: (id) => this.#asked.get(id) === 'left',
      unheard: this.unheard,
    });
  }

  #joinedAt(id: number, result: object): number | null {
    if (!('recovered' in result)) return null;
    const { offset, recovered, from, acked = 0 } = result as Answer & { acked?: number };
    if (from !== undefined) return this.#since.get(id) ?? (this.#resumed.has(id) ? acked : from);
    return this.#since.get(id) ?? (recovered ? acked : offset);
  }

  /**
   * What the peer was told, but for its personal room, in order: labels of messages; `ok@5` for a join at offset 5, with `+` where it recovered all, and
   * `/3` where what follows begins after 3; `gap4-6`, `gap4-6:limited`, `reset@3`, `error:timeout`, `left`, `closed:4008`. `sent:a`, the answers to publishes, only where asked for.
   */
  told(withSent = false): string {
    const ofPersonalRoom = ({ 1: room }: ServerFrame) => String(room).startsWith('$');
    const words = this.socket.frames.filter((one) => !ofPersonalRoom(one)).map((one) => this.#word(one));
    if (this.socket.closeCode !== null) words.push(`closed:${this.socket.closeCode}`);
    return words.filter((word) => withSent || !word.startsWith('sent:')).join(' ');
  }

  #word(frame: ServerFrame): string {
    switch (frame[0]) {
      case 'message':
        return String(frame[5]).replace(/\.+$/, '');
      case 'signal':
        return `~${String(frame[4]).replace(/\.+$/, '')}`;
      case 'gap':
        return `gap${frame[2]}-${frame[3]}${frame[4] === 'expired' ? '' : `:${frame[4]}`}`;
      case 'reset':
        return `reset@${frame[3]}`;
      case 'error':
        return `error:${frame[2]}`;
      case 'ok':
        return this.#okWord(this.#asked.get(frame[1]) ?? 'ok?', frame[2]);
      default:
        return frame[0];
    }
  }

  #okWord(what: string, result: object): string {
    if (what !== 'ok' || !('recovered' in result)) return what;
    const { offset, recovered, from, acked } = result as Answer & { acked?: number | null };
    const replayed = from === undefined ? '' : `/${from}`;
    return `ok@${offset}${recovered ? '+' : ''}${replayed}${acked === undefined ? '' : `(${acked})`}`;
  }
}
