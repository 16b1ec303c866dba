/** A connection on a list in place of a socket, with a clock, a turn and a node that the test holds in its hands. */
import { NOBODY_KEPT_OUT, type RoomAccess } from '../../src/auth/authorize.ts';
import type { Authenticator, Identity } from '../../src/auth/identity.ts';
import { Allowance } from '../../src/connection/allowance.ts';
import { CommandTurns } from '../../src/connection/command-turns.ts';
import { clientCommands } from '../../src/connection/commands.ts';
import { Connection } from '../../src/connection/connection.ts';
import type { ConnectionContext } from '../../src/connection/context.ts';
import { FlushQueue } from '../../src/connection/flush-queue.ts';
import type { OverLimit } from '../../src/connection/over-limit.ts';
import { type SendingSettings, sendingLimits } from '../../src/connection/sending-limits.ts';
import type { Request, RoomServices } from '../../src/connection/services.ts';
import { NodeMetrics } from '../../src/metrics/node-metrics.ts';
import { encodeCommand } from '../../src/protocol/client-codec.ts';
import { jsonCodec, msgpackCodec } from '../../src/protocol/codec.ts';
import type { CommandFrame, Position, PublishCommand } from '../../src/protocol/frames.ts';
import type { Encoding } from '../../src/protocol/subprotocol.ts';
import { silentLog } from '../../src/util/log.ts';
import { RateLimit } from '../../src/util/rate-limit.ts';
import { FakeClock } from './fake-clock.ts';
import { HELLO_FACTS } from './hello-facts.ts';
import { ListSocket } from './list-socket.ts';
import { NO_LIMITS } from './no-limits.ts';

/** A node that answers every command at once, and keeps the publishes that it was given. */
class AnsweringNode implements RoomServices {
  readonly published: PublishCommand[] = [];
  /** Rooms, in the order in which the joins came. */
  readonly joined: string[] = [];
  readonly acks: { user: string; room: string; epoch: string; offset: number }[] = [];

  join({ connection, ok }: Request, room: string): void {
    if (room === 'broken') throw new Error('a fault of ours');
    this.joined.push(room);
    ok({ epoch: 'epoch001', offset: 0, recovered: false });
    connection.flushBeforeMessages();
  }

  leave(request: Request): void {
    request.fail('not_joined', 'this connection is not in this room');
  }

  publish(connection: Connection, command: PublishCommand): void {
    this.published.push(command);
    connection.publishOk(command.id, 'epoch001', this.published.length, false);
  }

  history(request: Request): void {
    request.ok({ epoch: 'epoch001', offset: 0, messages: [] });
  }

  ack(request: Request, user: string, room: string, [epoch, offset]: Position): void {
    this.acks.push({ user, room, epoch, offset });
    request.ok({ epoch, offset });
  }

  presence(request: Request): void {
    request.ok({});
  }

  members(request: Request): void {
    request.ok({ count: 0, users: 0, members: [] });
  }
}

const OPEN: RoomAccess = { join: 'anyone', publish: 'anyone' };
export interface SessionOptions {
  readonly encoding?: Encoding;
  readonly identity?: Identity;
  /** Whether a user may have one more connection. Default: yes. */
  readonly userFull?: (user: string) => OverLimit | null;
  readonly authenticator?: Authenticator;
  /** Anonymous connections are admitted beside authenticated ones. */
  readonly anonymous?: boolean;
  /** Access rules by room; `*` for all others. Default: open to anyone. */
  readonly access?: Readonly<Record<string, RoomAccess>>;
  /** Commands a second and at once; default no limit. */
  readonly rate?: readonly [perSecond: number, burst: number];
  readonly maxRefusals?: number;
  /** Of bytes; default no limit. */
  readonly limits?: Partial<SendingSettings>;
  readonly maxBytesBeforeAuth?: number;
  readonly maxUnsentBytes?: number;
}

export class Session {
  readonly socket = new ListSocket();
  readonly clock = new FakeClock();
  readonly metrics = new NodeMetrics();
  readonly node = new AnsweringNode();
  readonly connection: Connection;
  /** How often the node was told that replies wait for the peer to read. */
  stalls = 0;
  /** How often the end of the turn was asked for. */
  turnRequests = 0;
  readonly flushQueue = new FlushQueue({ request: () => this.turnRequests++ });
  readonly #encoding: Encoding;

  constructor(options: SessionOptions = {}) {
    const { encoding = 'msgpack', identity = null } = options;
    this.#encoding = encoding;
    const codec = encoding === 'msgpack' ? msgpackCodec : jsonCodec;
    this.connection = new Connection(35, this.socket, codec, identity, this.#context(options));
  }

  /** One more connection of the same node, on a socket of its own. `address`: pays for what it sends without a user. */
  another(identity: Identity | null, address: string | null = null): Connection {
    const { codec, context } = this.connection;
    return new Connection(36, new ListSocket(), codec, identity, context, new Allowance(address));
  }

  /** Sends commands in one WebSocket message, whose bytes are gone when this returns, as those of a real one. */
  receive(...frames: readonly CommandFrame[]): void {
    const parts = frames.map((frame) => Buffer.from(encodeCommand(frame, this.#encoding)));
    const separator = this.#encoding === 'json' ? '\n' : '';
    this.receiveBytes(Buffer.concat(parts.flatMap((part) => [part, Buffer.from(separator)])));
  }

  receiveBytes(bytes: Uint8Array): void {
    const buffer = new Uint8Array(bytes);
    this.connection.receive(buffer);
    buffer.fill(0xff);
  }

  /** The number of the turn, which `endTurn` raises. */
  readonly turn = { number: 1, request: () => undefined };

  /** CPU that the process has taken. */
  readonly cpu = { ms: 0, cpuMs: (): number => this.cpu.ms };

  readonly turns = new CommandTurns(this.turn, this.cpu);

  endTurn(): void {
    this.turn.number++;
    this.flushQueue.flushFirst();
    this.flushQueue.flushRest();
    this.turns.nextTurn();
  }

  #context(options: SessionOptions): ConnectionContext<Connection> {
    const [perSecond, burst] = options.rate ?? [0, 0];
    const { authenticator = null, access = {} } = options;
    const commands = clientCommands({
      services: this.node,
      access: (room) => access[room] ?? access['*'] ?? OPEN,
      keptOut: NOBODY_KEPT_OUT,
      authenticator,
      userFull: options.userFull ?? (() => null),
      identified: (connection, identity) => {
        const isAwaited = connection.awaitsAuth;
        connection.identity = identity;
        if (isAwaited) connection.welcome();
      },
      log: silentLog,
    });
    return {
      nodeId: 'node0001',
      commands,
      flushQueue: this.flushQueue,
      mustAuthenticate: authenticator !== null && options.anonymous !== true,
      stalled: () => this.stalls++,
      limits: {
        ...sendingLimits({
          ...NO_LIMITS,
          commandsPerSecond: perSecond,
          commandBurst: burst,
          ...options.limits,
        }),
        ...(options.maxRefusals === undefined
          ? {}
          : { refusals: new RateLimit(perSecond, options.maxRefusals) }),
      },
      maxBytesBeforeAuth: options.maxBytesBeforeAuth ?? 65_536,
      turn: this.turn,
      turns: this.turns,
      maxUnsentBytes: options.maxUnsentBytes ?? 100_000,
      heartbeatMs: 25_000,
      maxPayloadBytes: 65_536,
      facts: HELLO_FACTS,
      clock: this.clock,
      metrics: this.metrics,
      log: silentLog,
    };
  }
}
