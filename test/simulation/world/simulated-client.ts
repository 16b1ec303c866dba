/** The client library as an application uses it, and what it was told: the log that the checkers judge. */
import { BaseClient } from '../../../src/client/client.ts';
import type { WebSocketLike } from '../../../src/client/environment.ts';
import type { InspectedFrame } from '../../../src/client/inspector.ts';
import { jsonCodec } from '../../../src/client/json-codec.ts';
import { msgpackCodec } from '../../../src/client/msgpack-codec.ts';
import type { Room } from '../../../src/client/room.ts';
import type { PublishSettings } from '../../../src/client/room-services.ts';
import type { ClientStatus } from '../../../src/client/status.ts';
import type { GapReason, JoinOptions, JoinResult, Position } from '../../../src/protocol/frames.ts';
import { portableScheduler } from '../../../src/util/portable-scheduler.ts';
import { MemberLog } from '../../support/member-log.ts';
import type { Acknowledged } from '../../support/returning-client.ts';
import type { DataOrder } from './data-order.ts';
import { FedTo } from './fed-to.ts';
import type { Owner } from './loop.ts';
import { Manners } from './manners.ts';
import { type HeardSignal, Sendings } from './sendings.ts';
import type { SimulatedWebSocket } from './web-socket-link.ts';

export interface SimulatedClientParts {
  readonly owner: Owner;
  readonly urls: readonly string[];
  readonly encoding: 'msgpack' | 'json';
  /** Null: anonymous. */
  readonly user: string | null;
  /** How long its tokens live. Null: for ever. */
  readonly tokenLifeMs: number | null;
  /** It leaves rooms while it is given a message, and joins them again. */
  readonly isRestless: boolean;
  readonly reconnectCapMs: number;
  readonly openSocket: (url: string, protocol: string) => SimulatedWebSocket;
  /** Something that must not happen. */
  readonly complain: (what: string) => void;
  readonly trace: (what: string) => void;
  /** Each frame that it sends or gets. */
  readonly frame: (client: string, frame: InspectedFrame) => void;
  readonly dataOrder: DataOrder;
  /** The server told it to stop. */
  readonly stopped: () => void;
  /** A user acknowledges: returns whom to tell what the answer says. */
  readonly acking: (user: string, room: string) => (epoch: string, offset: number) => void;
}

/** Of the numbers of messages: each of them makes who is restless leave and join again. */
const REJOIN_EVERY = 16;

interface Membership {
  readonly stay: Stay;
  readonly log: MemberLog;
  room: Room;
  presence: unknown;
  presenceChanges: number;
}

/** A membership as the application wanted it, over all connections. */
export interface Stay {
  readonly log: MemberLog;
  /** When it was answered for the first time. */
  fromMs: number;
  untilMs: number;
}

/** A gap as an application was told of it. */
export interface ToldGap {
  readonly room: string;
  readonly epoch: string;
  readonly from: number;
  readonly to: number;
  readonly reason: GapReason;
  readonly atMs: number;
}

/** How a join says where to begin. */
export type Beginning = 'where it left' | 'at the start' | 'after what was acknowledged';

export interface JoinWish {
  readonly last?: number;
  readonly presence?: unknown;
  readonly begin?: Beginning;
}

/** A message that its publisher wants no echo of. */
export interface OwnMessage {
  readonly payload: number;
  /** Which it had when it published it; '' for none. */
  readonly connection: string;
  /** Where it was in the room, and how far it had come; null: it was not, or did not stay with one membership. */
  readonly stay: Stay | null;
  readonly atMark: number;
}

/** How a publish ended. */
export interface Outcome {
  readonly room: string;
  readonly payload: number;
  /** Null until it settled. */
  end: 'stored' | 'unknown' | 'refused' | 'closed' | null;
  why: string;
}

export class SimulatedClient {
  readonly owner: Owner;
  readonly client: BaseClient;
  /** One for each membership, from the join to the leave. */
  readonly stays: Stay[] = [];
  readonly acknowledged: Acknowledged[] = [];
  readonly outcomes: Outcome[] = [];
  /** What its messages take the place of: one scope for each key of a sender. */
  readonly scopes = new Map<number, string>();
  readonly gaps: ToldGap[] = [];
  readonly ownMessages = new Map<number, OwnMessage>();
  /** Messages that follow a join on its connection, which was not refused. */
  afterJoins: { readonly payload: number; readonly log: MemberLog; readonly connections: number }[] = [];
  /** Told to stop, for good. */
  isOver = false;
  readonly manners: Manners;
  readonly sendings: Sendings;
  readonly #fedTo = new FedTo();
  readonly heard: HeardSignal[] = [];
  /** Called once by the next listener of messages. */
  startled: (() => void) | null = null;
  messages = 0;
  signals = 0;
  /** It gets no fresh tokens. */
  hasNoTokens = false;
  readonly #parts: SimulatedClientParts;
  readonly #memberships = new Map<string, Membership>();
  readonly #joinIds = new Map<string, number>();
  /** Joins that begin after what the user has acknowledged. */
  readonly #resuming = new Map<number, (epoch: string, offset: number) => void>();
  /** Where it stood in rooms that it left. */
  readonly #left = new Map<string, Position>();
  /** Signals that it wants no echo of, and the connection that they were sent on. */
  readonly #quiet = new Map<number, string>();
  #tokens = 0;
  /** The newest signal of each sender in each room. */
  readonly #signals = new Map<string, number>();
  #connection = '';
  #node = '';

  constructor(parts: SimulatedClientParts) {
    const { owner, urls, encoding, user, tokenLifeMs } = parts;
    this.#parts = parts;
    this.owner = owner;
    const complain = (what: string) => parts.complain(`${owner.name} ${what}`);
    this.manners = new Manners(complain);
    this.sendings = new Sendings(complain);
    const getToken = () => {
      if (this.hasNoTokens) throw new Error('the server that gives out tokens is away');
      const trueMs = Math.floor(Date.now() - owner.wallAheadMs);
      const expires = tokenLifeMs === null ? '' : trueMs + tokenLifeMs;
      return `${user}~${expires}~t${owner.name}.${++this.#tokens}~i${trueMs}`;
    };
    this.client = new BaseClient(
      urls,
      {
        reconnect: { baseMs: 100, capMs: parts.reconnectCapMs },
        connectTimeoutMs: 5_000,
        inspectFrames: 0,
        ...(user !== null && { getToken }),
        onError: (error) => this.#errored(error),
        debug: (frame) => this.#watch(frame),
        environment: {
          scheduler: { ...portableScheduler, random: () => Math.random() },
          openSocket: (url, protocol) => {
            this.#joinIds.clear();
            this.#resuming.clear();
            this.sendings.connecting();
            this.#fedTo.connecting();
            this.manners.connecting(url);
            return parts.openSocket(url, protocol) as unknown as WebSocketLike;
          },
        },
      },
      { codec: encoding === 'json' ? jsonCodec : msgpackCodec },
    );
    this.client.onStatus((status) => {
      this.manners.status(status);
      parts.trace(`${owner.name} ${shownStatus(status)}`);
      if (status.state === 'connected') this.#connected(status);
      if (status.state === 'closed' && status.code !== null) this.#stopped();
      if (status.state === 'waiting')
        for (const { log } of this.#memberships.values()) log.event({ kind: 'closed', code: 0 });
    });
    this.client.connect();
  }

  #connected({ connection, node }: { readonly connection: string; readonly node: string }): void {
    this.#connection = connection;
    this.#parts.dataOrder.connected(this.owner.name, connection);
    // A signal may take longer to reach another node: it comes again to who moves there.
    if (node !== this.#node) this.#signals.clear();
    this.#node = node;
  }

  /** The server disconnected or revoked its user. */
  #stopped(): void {
    this.isOver = true;
    for (const name of this.rooms) this.leave(name);
    this.#parts.stopped();
  }

  get user(): string | null {
    return this.#parts.user;
  }

  get connection(): string {
    return this.#connection;
  }

  get isConnected(): boolean {
    return this.client.status.state === 'connected';
  }

  get rooms(): readonly string[] {
    return [...this.#memberships.keys()];
  }

  /** Whether it is a member as far as it knows. */
  isIn(name: string): boolean {
    const state = this.#memberships.get(name)?.room.state;
    return this.isConnected && (state === 'catching-up' || state === 'joined');
  }

  room(name: string): Room | undefined {
    return this.#memberships.get(name)?.room;
  }

  /** What it says of itself in a room; undefined: nothing. */
  presenceIn(name: string): unknown {
    return this.#memberships.get(name)?.presence;
  }

  /** How often it has said something else of itself since it joined, or the same again. */
  presenceChangesIn(name: string): number {
    return this.#memberships.get(name)?.presenceChanges ?? 0;
  }

  /** Returns whether it joins now: it may be in the room, or try again and again to get in. */
  join(name: string, { begin, ...wish }: JoinWish = {}): boolean {
    if (this.isOver || this.#memberships.has(name)) return false;
    const log = new MemberLog(`${this.owner.name}/${this.stays.length}`, name);
    const stay = { log, fromMs: Number.POSITIVE_INFINITY, untilMs: Number.POSITIVE_INFINITY };
    this.stays.push(stay);
    const options = { members: true, ...wish, ...this.#beginning(name, begin) };
    if (options.since !== undefined) log.placeAt(options.since);
    this.#parts.dataOrder.says(this.owner.name, name, wish.presence);
    const room = this.client.room(name, options);
    this.#memberships.set(name, { stay, log, room, presence: wish.presence, presenceChanges: 0 });
    this.#listen(name, log, room);
    return true;
  }

  #beginning(
    name: string,
    begin: Beginning | undefined,
  ): { readonly since?: Position; readonly resume?: boolean } {
    if (begin === 'at the start') return { since: ['', 0] };
    if (begin === 'after what was acknowledged') return { resume: true };
    const left = begin === undefined ? undefined : this.#left.get(name);
    return left === undefined ? {} : { since: left };
  }

  #listen(name: string, log: MemberLog, room: Room): void {
    room.on('message', ({ offset, data }) => {
      const payload = numberOf(data);
      this.#message(log, offset, payload);
      this.#startle();
      if (this.#parts.isRestless && offset > 0 && payload % REJOIN_EVERY === 0) this.#rejoin(name, room);
    });
    room.on('gap', ({ from, to, reason }) => {
      const epoch = log.position?.[0] ?? '';
      this.gaps.push({ room: name, epoch, from, to, reason, atMs: performance.now() });
      log.event({ kind: 'gap', from, to });
    });
    room.on('reset', ({ position: [epoch, offset] }) => log.event({ kind: 'reset', epoch, offset }));
    room.on('members', () =>
      this.#parts.dataOrder.sees({ name: this.owner.name, connection: this.#connection }, room),
    );
    room.on('signal', ({ data }) => this.#signal(log, name, data as readonly [string, number]));
    room.on('refused', (error) => this.#ended(name, `refused: ${error.message}`));
    room.on('removed', ({ reason }) => this.#ended(name, `removed: ${reason}`));
  }

  /** Leaves and joins again in a listener, from where it stands: the same stay goes on. */
  #rejoin(name: string, room: Room): void {
    const membership = this.#memberships.get(name);
    if (membership?.room !== room || room.position === null) return;
    const { log, presence } = membership;
    const said = presence === undefined ? {} : { presence };
    const since = room.position;
    room.leave();
    this.#parts.dataOrder.says(this.owner.name, name, presence);
    membership.room = this.client.room(name, { members: true, since, ...said });
    this.#listen(name, log, membership.room);
  }

  leave(name: string): void {
    const membership = this.#memberships.get(name);
    if (membership === undefined) return;
    this.#memberships.delete(name);
    const { position } = membership.room;
    if (position !== null) this.#left.set(name, position);
    membership.log.event({ kind: 'left' });
    membership.stay.untilMs = performance.now();
    membership.room.leave();
  }

  publish(room: string, payload: number, bytes: number, settings: PublishSettings): void {
    const outcome: Outcome = { room, payload, end: null, why: '' };
    this.outcomes.push(outcome);
    const data = bytes === 0 ? payload : [payload, 'x'.repeat(bytes)];
    if (settings.echo === false) this.#noteOwn(room, payload);
    const sentAtMs = performance.now();
    if (settings.conflateKey !== undefined)
      this.scopes.set(payload, `${this.#parts.user ?? this.owner.name} ${settings.conflateKey}`);
    this.client.publish(room, data, settings).then(
      ({ epoch, offset }) => {
        outcome.end = 'stored';
        if (settings.echo === false)
          for (const { log } of this.stays) if (log.room === room) log.own(epoch, offset);
        if (offset > 0)
          this.acknowledged.push({ room, payload, epoch, offset, sentAtMs, ackedAtMs: performance.now() });
      },
      (error: Error) => {
        outcome.end = END_OF[error.name] ?? 'refused';
        outcome.why = error.message;
      },
    );
  }

  /** Who leaves and joins again in a listener forgets which messages are its own. */
  #noteOwn(room: string, payload: number): void {
    const membership = this.#parts.isRestless ? undefined : this.#memberships.get(room);
    const isIn = this.isIn(room) && (membership?.room.position ?? null) !== null;
    const atMark = membership?.log.marks.length ?? 0;
    const connection = this.isConnected ? this.#connection : '';
    this.ownMessages.set(payload, { payload, connection, stay: (isIn && membership?.stay) || null, atMark });
  }

  /** Whether it does not know yet if a message was stored that it wanted no echo of. */
  waitsForOwn(name: string): boolean {
    return this.outcomes.some(
      ({ room, payload, end }) => end === null && room === name && this.ownMessages.has(payload),
    );
  }

  /** Right after its join, in one turn: it is a member by then, if both go over one connection. */
  publishesAfterJoin(name: string, payload: number): void {
    const stay = this.#memberships.get(name)?.stay;
    const isFirst = stay?.log.marks.length === 0 && stay.log.offsets.length === 0;
    if (isFirst && this.isConnected)
      this.afterJoins.push({ payload, log: stay.log, connections: this.sendings.connections });
  }

  signal(room: string, number: number, echo: boolean): void {
    if (!echo) this.#quiet.set(number, this.#connection);
    this.client.signal(room, [this.owner.name, number], echo);
  }

  setPresence(name: string, data: unknown): void {
    const membership = this.#memberships.get(name);
    if (membership === undefined) return;
    membership.presence = data === null ? undefined : data;
    membership.presenceChanges++;
    this.#parts.dataOrder.says(this.owner.name, name, data);
    membership.room.setPresence(data).catch(() => undefined);
  }

  ack(name: string): void {
    const membership = this.#memberships.get(name);
    const { user } = this.#parts;
    const position = membership?.log.position ?? null;
    if (membership === undefined || user === null || position === null || position[0] === '') return;
    const answered = this.#parts.acking(user, name);
    membership.room.ack(position).then(
      ({ epoch, offset }) => answered(epoch, offset),
      () => undefined,
    );
  }

  close(): void {
    this.client.close();
  }

  // ---- what it is told -----------------------------------------------------------------------------------

  #message(log: MemberLog, offset: number, payload: number): void {
    this.messages++;
    const isAgain = offset > 0 && log.offsets.at(-1) === offset && log.payloads.at(-1) === payload;
    const wasReset = log.marks.some(({ at, event }) => at === log.payloads.length && event.kind === 'reset');
    if (isAgain && !wasReset)
      this.#parts.complain(`${this.owner.name} is given message ${payload} in ${log.room} twice in a row`);
    log.message(offset, payload);
  }

  #startle(): void {
    const { startled } = this;
    this.startled = null;
    startled?.();
  }

  #signal(log: MemberLog, room: string, [sender, number]: readonly [string, number]): void {
    this.signals++;
    const [epoch, offset] = log.position ?? ['', 0];
    this.heard.push({ room, sender, number, epoch, offset });
    if (sender === this.owner.name && this.#quiet.get(number) === this.#connection)
      this.#parts.complain(
        `${this.owner.name} hears signal ${number} in ${room}, which it wanted no echo of`,
      );
    const key = `${room} ${sender}`;
    const before = this.#signals.get(key) ?? 0;
    if (number <= before) {
      this.#parts.complain(
        `${this.owner.name}: signal ${number} of ${sender} in ${room} after signal ${before}`,
      );
    }
    this.#signals.set(key, number);
  }

  #ended(name: string, why: string): void {
    this.#parts.trace(`${this.owner.name} is out of ${name}: ${why}`);
    this.leave(name);
  }

  #errored(error: unknown): void {
    this.#parts.trace(`${this.owner.name} error: ${error}`);
    if (error instanceof TypeError || error instanceof RangeError) this.#parts.complain(String(error.stack));
  }

  /** Each frame before the client library acts on it. */
  #watch(inspected: InspectedFrame): void {
    const { direction, frame } = inspected;
    this.#parts.frame(this.owner.name, inspected);
    this.manners.frame(inspected, (room) => this.presenceIn(room));
    this.sendings.frame(inspected);
    const [type] = frame;
    if (type === 'message') this.#messageFrame(String(frame[1]), frame[2] as number, frame[5]);
    else if (direction === 'sent' && type === 'join')
      this.#joins(frame[1] as number, frame[2] as string, frame[3] as JoinOptions);
    else if (type === 'ok') this.#answered(frame[1] as number, frame[2] as JoinResult);
    else if (type === 'error') this.#refused(frame[1] as number);
    this.#fedTo.frame(inspected);
  }

  /** What the library hides since it came before: no node may send that. */
  #messageFrame(name: string, offset: number, data: unknown): void {
    const own = this.ownMessages.get(numberOf(data));
    if (own !== undefined && own.connection === this.#connection)
      this.#parts.complain(
        `${this.owner.name} is sent message ${own.payload} in ${name}, which it wanted no echo of`,
      );
    const log = this.#memberships.get(name)?.log;
    const position = log?.position ?? null;
    if (log === undefined || offset === 0 || position === null || offset > position[1] || !this.isIn(name))
      return;
    // The library joins a room again in place, for its members, and had this one since it said where it stands.
    if (this.#fedTo.isNext(name, offset)) return;
    // The library may hold it, and a reset before it, until it knows which messages are its own.
    if (this.waitsForOwn(name)) return;
    // Of its own it knows what the node does not.
    if (!this.ownMessages.has(numberOf(data))) log.message(offset, numberOf(data));
  }

  #joins(id: number, room: string, { resume }: JoinOptions): void {
    this.#joinIds.set(room, id);
    const { user } = this.#parts;
    if (resume && user !== null) this.#resuming.set(id, this.#parts.acking(user, room));
  }

  /** A join, perhaps: it is tried again later, after what was published meanwhile. */
  #refused(id: number): void {
    for (const [name, { log }] of this.#memberships) {
      if (this.#joinIds.get(name) !== id || log.marks.length > 0) continue;
      this.afterJoins = this.afterJoins.filter((one) => one.log !== log);
    }
  }

  #answered(id: number, { epoch, offset, recovered, acked, ...result }: JoinResult): void {
    const resumed = this.#resuming.get(id);
    if (typeof acked === 'number') resumed?.(epoch, acked);
    const from = result.from ?? (resumed ? (acked ?? undefined) : undefined);
    for (const [name, { log, stay }] of this.#memberships) {
      if (this.#joinIds.get(name) !== id) continue;
      stay.fromMs = Math.min(stay.fromMs, performance.now());
      log.event({ kind: 'joined', epoch, offset, since: log.position, recovered, from });
      this.#parts.trace(
        `${this.owner.name} joined ${name} at ${epoch}:${offset} from ${log.position?.join(':')}`,
      );
    }
  }
}

/** The id of a connection begins with that of its node. */
function shownStatus(status: ClientStatus): string {
  if (status.state === 'waiting') return `waiting: ${status.reason}`;
  return status.state === 'connected' ? `connected as ${status.connection}` : status.state;
}

const END_OF: Readonly<Record<string, Outcome['end']>> = {
  UnknownOutcomeError: 'unknown',
  RefusedError: 'refused',
  ClosedError: 'closed',
};

function numberOf(data: unknown): number {
  return Number(Array.isArray(data) ? data[0] : data);
}
