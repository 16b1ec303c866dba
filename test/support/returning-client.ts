/**
 * The SDK, watched: what its listeners are given becomes the log of a member, and beside it stands what only frames and sockets tell,
 * so that the checker judges the nodes as strictly as a client that hides nothing would.
 */
import WebSocket from 'ws';
import { BaseClient } from '../../src/client/client.ts';
import type { WebSocketLike } from '../../src/client/environment.ts';
import type { InspectedFrame } from '../../src/client/inspector.ts';
import { jsonCodec } from '../../src/client/json-codec.ts';
import { msgpackCodec } from '../../src/client/msgpack-codec.ts';
import type { ClientOptions } from '../../src/client/options.ts';
import type { Room } from '../../src/client/room.ts';
import type { Message, RoomOptions } from '../../src/client/room-events.ts';
import type { PublishSettings } from '../../src/client/room-services.ts';
import type { ClientStatus } from '../../src/client/status.ts';
import type { JoinResult } from '../../src/protocol/frames.ts';
import type { Encoding } from '../../src/protocol/subprotocol.ts';
import { portableScheduler } from '../../src/util/portable-scheduler.ts';
import { MemberLog } from './member-log.ts';

export interface ReturningOptions {
  readonly name: string;
  /** WebSocket URLs of the nodes; it goes to the next one each time. */
  readonly urls: readonly string[];
  /** Which of the URLs it begins with. Default 0. */
  readonly first?: number;
  /** Default msgpack. */
  readonly encoding?: Encoding;
  /** From 0 up to 1. Default `Math.random`. */
  readonly random?: () => number;
  /** So many of the newest messages are asked for by each join, not only by the first. Default: `last` is left out. */
  readonly last?: number;
  /**
   * The token of a user whose joins all resume where the user left off: some messages are acknowledged, and what comes again is
   * dropped. Default: anonymous, and joins have the position.
   */
  readonly resumesWith?: string;
  /** Further options of the SDK. */
  readonly client?: ClientOptions;
}

/** A message that has its offset and is stored. */
export interface Acknowledged {
  readonly room: string;
  readonly payload: number;
  readonly epoch: string;
  readonly offset: number;
  /** When it was first sent and when it was acknowledged, on the clock of `performance.now`. */
  readonly sentAtMs: number;
  readonly ackedAtMs: number;
}

interface Membership {
  readonly log: MemberLog;
  room: Room;
  readonly joined: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const ACK_EVERY = 10;
const HANDSHAKE_TIMEOUT_MS = 5_000;
const OPTIONS: ClientOptions = {
  reconnect: { baseMs: 50, capMs: 1_000 },
  connectTimeoutMs: HANDSHAKE_TIMEOUT_MS,
  // Tests have sockets that are not read for a while: those are no dead links.
  probeTimeoutMs: 120_000,
  queue: { messages: 10_000, bytes: 64 * 1024 * 1024 },
  inspectFrames: 0,
};

export class ReturningClient {
  readonly name: string;
  readonly client: BaseClient;
  /** One for each room it has ever joined. */
  readonly logs = new Map<string, MemberLog>();
  /** Connections that were made, and how they ended, by close code. */
  connections = 0;
  readonly closes = new Map<number, number>();
  /** How its publishes were answered, by `ok` or error code, with the longest time that took in ms. */
  readonly answers = new Map<string, { count: number; slowestMs: number }>();
  /** What the SDK could tell nobody else. */
  readonly errors: unknown[] = [];
  readonly #options: ReturningOptions;
  readonly #memberships = new Map<string, Membership>();
  /** When each publish was asked for, by the id of its frame on the present connection. */
  readonly #askedAtMs = new Map<number, number>();
  /** The id of the last join of each room on the present connection. */
  readonly #joinIds = new Map<string, number>();
  #socket: WebSocket | null = null;
  #connection = '';

  constructor(options: ReturningOptions) {
    const { name, urls, first = 0, encoding = 'msgpack', random = Math.random, resumesWith } = options;
    this.#options = options;
    this.name = name;
    this.client = new BaseClient(
      urls.map((_, i) => urls[(first + i) % urls.length]!),
      {
        ...OPTIONS,
        ...(resumesWith !== undefined && { token: resumesWith }),
        ...options.client,
        onError: (error) => this.errors.push(error),
        debug: (frame) => this.#watchFrame(frame),
        environment: {
          scheduler: { ...portableScheduler, random },
          openSocket: (url, protocol) => this.#openSocket(url, protocol),
        },
      },
      { codec: encoding === 'json' ? jsonCodec : msgpackCodec },
    );
    this.client.onStatus((status) => this.#statusChanged(status));
    this.client.connect();
  }

  /** The close code by which a node told it to stay away, or null. */
  get stoppedBy(): number | null {
    const { status } = this.client;
    return status.state === 'closed' ? status.code : null;
  }

  /** Id of its present connection, or of the last one. */
  get connection(): string {
    return this.#connection;
  }

  /** Whether its join of a room was answered on its present connection. */
  isIn(room: string): boolean {
    const state = this.#memberships.get(room)?.room.state;
    return this.isConnected && (state === 'catching-up' || state === 'joined');
  }

  get isConnected(): boolean {
    return this.client.status.state === 'connected';
  }

  /** The socket of the present connection, to be paused and the like. */
  get socket(): WebSocket {
    if (this.#socket === null) throw new Error(`${this.name} is not connected`);
    return this.#socket;
  }

  log(room: string): MemberLog {
    const known = this.logs.get(room);
    if (known) return known;
    const log = new MemberLog(this.name, room);
    this.logs.set(room, log);
    return log;
  }

  /** Resolves when it is a member for the first time. It stays one until `leave`. */
  join(name: string): Promise<void> {
    const log = this.log(name);
    const { last, resumesWith } = this.#options;
    const options = {
      ...(last !== undefined && { last }),
      ...(resumesWith !== undefined && { resume: true }),
    };
    const membership = { ...waiting(), log, room: this.client.room(name, options) };
    this.#memberships.set(name, membership);
    this.#listen(membership);
    return membership.joined;
  }

  /** From now on it is no member, whatever the node says. */
  leave(name: string): void {
    const membership = this.#memberships.get(name);
    if (!membership) return;
    this.#memberships.delete(name);
    membership.resolve();
    membership.log.event({ kind: 'left' });
    membership.room.leave();
  }

  /** Resolves when it is acknowledged, however often it has to be sent for that. `data` is its number, or a list that begins with it. */
  async publish(room: string, data: unknown, settings?: PublishSettings): Promise<Acknowledged> {
    const sentAtMs = performance.now();
    const { epoch, offset } = await this.client.publish(room, data, settings);
    return { room, payload: payloadOf(data), epoch, offset, sentAtMs, ackedAtMs: performance.now() };
  }

  /** Drops the connection without a word, as a train in a tunnel does. */
  drop(): void {
    this.#socket?.terminate();
  }

  /** Ends it all. What is not acknowledged is given up. */
  async close(): Promise<void> {
    this.client.close();
    const socket = this.#socket;
    if (socket === null || socket.readyState === WebSocket.CLOSED) return;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.terminate();
    await closed;
  }

  // ---- what listeners are given --------------------------------------------------------------------------

  #listen({ room, log, reject }: Membership): void {
    room.on('message', (message) => this.#message(room, log, message));
    room.on('gap', ({ from, to }) => log.event({ kind: 'gap', from, to }));
    room.on('reset', ({ position: [epoch, offset] }) => log.event({ kind: 'reset', epoch, offset }));
    room.on('refused', reject);
    room.on('removed', ({ reason }) =>
      reject(new Error(`${this.name} was removed from ${room.name}: ${reason}`)),
    );
  }

  /** It is new unless it came before, to one who resumes. */
  #message(room: Room, log: MemberLog, { offset, data }: Message): void {
    if (this.#resumes) {
      if (log.position !== null && offset <= log.position[1]) return;
      if (offset % ACK_EVERY === 0) void room.ack().catch(() => undefined);
    }
    log.message(offset, payloadOf(data));
  }

  #statusChanged(status: ClientStatus): void {
    if (status.state === 'connected') {
      this.connections++;
      this.#connection = status.connection;
    } else if (status.state === 'waiting') {
      for (const membership of this.#memberships.values()) this.#forget(membership);
    }
  }

  /** The SDK goes on from its position. To say `last` or `resume` in a later join takes another room object. */
  #forget(membership: Membership): void {
    const { last } = this.#options;
    const { position, room } = { position: membership.log.position, room: membership.room };
    if (position === null || (last === undefined && !this.#resumes)) return;
    const newest = last === undefined ? {} : { last };
    const options: RoomOptions = this.#resumes ? { ...newest, resume: true } : { ...newest, since: position };
    room.leave();
    membership.room = this.client.room(room.name, options);
    this.#listen(membership);
  }

  get #resumes(): boolean {
    return this.#options.resumesWith !== undefined;
  }

  // ---- what frames and sockets tell ----------------------------------------------------------------------

  #openSocket(url: string, protocol: string): WebSocketLike {
    const socket = new WebSocket(url, protocol, {
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      perMessageDeflate: false,
    });
    this.#socket = socket;
    this.#askedAtMs.clear();
    this.#joinIds.clear();
    socket.once('close', (code) => {
      this.closes.set(code, (this.closes.get(code) ?? 0) + 1);
      if (this.#socket !== socket) return;
      for (const { log } of this.#memberships.values()) log.event({ kind: 'closed', code });
    });
    return socket as unknown as WebSocketLike;
  }

  /** Called for each frame before the SDK acts on it: hundreds of thousands a second, nearly all of them messages. */
  #watchFrame({ direction, frame }: InspectedFrame): void {
    const type = frame[0];
    const id = frame[1] as number;
    if (type === 'message') this.#messageFrame(String(id), frame[2] as number, frame[5]);
    else if (direction === 'sent') {
      if (type === 'publish') this.#askedAtMs.set(id, performance.now());
      else if (type === 'join') this.#joinIds.set(frame[2] as string, id);
    } else if (type === 'ok') this.#answered(id, 'ok', frame[2]);
    else if (type === 'error') this.#answered(id, String(frame[2]), null);
  }

  /** What the SDK hides from its listeners because it came before. No node may send it, but to one who resumes. */
  #messageFrame(name: string, offset: number, data: unknown): void {
    const { position } = this.log(name);
    if (this.#resumes || offset === 0 || position === null || offset > position[1] || !this.isIn(name))
      return;
    this.log(name).message(offset, payloadOf(data));
  }

  #answered(id: number, outcome: string, result: unknown): void {
    const askedAtMs = this.#askedAtMs.get(id);
    if (askedAtMs !== undefined) {
      this.#askedAtMs.delete(id);
      const answers = this.answers.get(outcome) ?? { count: 0, slowestMs: 0 };
      answers.count++;
      answers.slowestMs = Math.max(answers.slowestMs, performance.now() - askedAtMs);
      this.answers.set(outcome, answers);
    } else if (outcome === 'ok') {
      for (const [name, membership] of this.#memberships) {
        if (this.#joinIds.get(name) === id) this.#joined(membership, result as JoinResult);
      }
    }
  }

  #joined({ log, resolve }: Membership, { epoch, offset, recovered, from }: JoinResult): void {
    // Where the log stands, whatever the SDK asked for: if that was something else, messages are missing or come again.
    log.event({ kind: 'joined', epoch, offset, since: log.position, recovered, from });
    resolve();
  }
}

function payloadOf(data: unknown): number {
  return Number(Array.isArray(data) ? data[0] : data);
}

function waiting(): Pick<Membership, 'joined' | 'resolve' | 'reject'> {
  let resolve!: () => void;
  let reject!: (error: Error) => void;
  const joined = new Promise<void>((whenJoined, whenRefused) => {
    resolve = whenJoined;
    reject = whenRefused;
  });
  return { joined, resolve, reject };
}
