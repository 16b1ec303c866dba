import type { Refusal } from '../auth/authorize.ts';
import { CLOCK_TOLERANCE_MS, type Identity } from '../auth/identity.ts';
import type { FloodLabel, LimitLabel } from '../metrics/labels.ts';
import type { ServerCodec } from '../protocol/codec.ts';
import { CLOSE, type CloseReason, type ErrorCode } from '../protocol/codes.ts';
import type {
  Command,
  CommandReader,
  ErrorDetails,
  RejectedCommand,
  Result,
  ServerFrame,
  Undecodable,
} from '../protocol/frames.ts';
import type { ReaderEncoding } from '../protocol/subprotocol.ts';
import { Allowance, FLOOD, WITHIN } from './allowance.ts';
import { LOOK_EVERY, type TurnTaker } from './command-turns.ts';
import type { ConnectionContext } from './context.ts';
import { HeldCommands } from './held-commands.ts';
import type { OverLimit } from './over-limit.ts';
import { sendFrames, toKeep } from './send-frames.ts';
import { USER_CHARGE_COMMANDS } from './sending-limits.ts';
import type { Socket } from './socket.ts';

/** Which of the turn's lanes a connection waits in; see `FlushQueue`. */
type Lane = 'none' | 'rest' | 'first';
type CommandHandler<C extends Command> = (connection: Connection, command: C) => void;

/** Above this many bytes waiting for the peer, nothing more is read for it. */
const BEHIND_BYTES = 256 * 1024;
/** Protocol violations in a row before the connection is closed. */
const MAX_VIOLATIONS = 100;

/**
 * One client's session on a socket: decodes what the client sends, runs commands from the table it is given,
 * queues the replies. A node holds tens of thousands of these, so every field counts: lists are made when
 * needed.
 */
export class Connection implements TurnTaker {
  readonly number: number;
  readonly socket: Socket;
  readonly codec: ServerCodec;
  readonly context: ConnectionContext<Connection>;
  identity: Identity | null;
  /** Names of the rooms it is in. Written by the hub. */
  rooms: readonly string[] = NO_ROOMS;
  heartbeatSlot = -1;
  heartbeatIndex = 0;
  heardAtBeat = 0;
  /** Messages it published that the backplane has not answered yet. */
  awaiting = 0;
  /** Its other commands that wait for their reply. */
  requests = 0;
  #id: string | null = null;
  #open = true;
  #lane: Lane = 'none';
  #outbox: (Uint8Array | string)[] | null = null;
  readonly #allowance: Allowance;
  #violations = 0;
  /** What arrived while a token was being checked, or waits for its turn; else null. */
  #held: HeldCommands | null = null;
  #isChecking = false;

  constructor(
    number: number,
    socket: Socket,
    codec: ServerCodec,
    identity: Identity | null,
    context: ConnectionContext<Connection>,
    allowance = new Allowance(),
  ) {
    this.#allowance = allowance;
    this.number = number;
    this.socket = socket;
    this.codec = codec;
    this.identity = identity;
    this.context = context;
  }

  /** Unique in the cluster. Made on demand: most connections never need one. */
  get id(): string {
    this.#id ??= `${this.context.nodeId}-${this.number.toString(36)}`;
    return this.#id;
  }

  get user(): string | null {
    return this.identity?.user ?? null;
  }

  /** A token is required, and none has been accepted yet. */
  get awaitsAuth(): boolean {
    return this.identity === null && this.context.mustAuthenticate;
  }

  /** The sender of messages from this connection. */
  get sender(): string {
    return this.identity?.user ?? this.id;
  }

  get encoding(): ReaderEncoding {
    return this.codec.encoding;
  }

  /** What it is sent has to be made from the stored frames. */
  get readsText(): boolean {
    return this.codec.encoding !== 'msgpack';
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Sends hello. Called once, when the connection is ready. */
  welcome(): void {
    const { nodeId, heartbeatMs, maxPayloadBytes, facts } = this.context;
    this.push([
      'hello',
      {
        connection: this.id,
        node: nodeId,
        user: this.user,
        heartbeatMs,
        maxPayload: maxPayloadBytes,
        version: 1,
        ...facts,
      },
    ]);
    this.flushBeforeMessages();
  }

  /** Takes one WebSocket message, binary or text. The caller may reuse the bytes once this returns. */
  receive(message: Uint8Array, isBinary = !this.readsText): void {
    if (!this.#open) return;
    const { clock, limits, maxBytesBeforeAuth, metrics, turn } = this.context;
    metrics.traffic.messagesReceived++;
    metrics.traffic.bytesReceived += message.length;
    if (message.length > maxBytesBeforeAuth && this.awaitsAuth) return this.tooLarge();
    // Without this, the turn's number would stay the same while only this socket is read.
    turn.request();
    const nowMs = clock.nowMs();
    const verdict = this.#allowance.message(limits, this.user, message.length, turn.number, nowMs);
    if (verdict === FLOOD) return this.#flooded('bytes', 0);
    // Waits for no turn, since it asks for nothing.
    if (message.length === 0 && isBinary !== this.readsText) return this.#idleFrame('messages', nowMs);
    const commands =
      isBinary === this.readsText ? onlyOne(this.codec.otherKind) : this.codec.readCommands(message);
    let refusal: OverLimit | null = null;
    if (verdict !== WITHIN) {
      metrics.traffic.messagesRateLimited++;
      refusal = this.#allowance.refusal(limits, verdict);
    }
    const { turns } = this.context;
    turns.look(nowMs);
    turns.spendBytes(message.length);
    if (this.#held !== null || turns.left <= 0) this.#hold(commands, refusal, true);
    else if (!this.#carryOut(commands, refusal, true, 0, nowMs)) this.#hold(commands, refusal, false);
  }

  /** Carries out commands that came in another way than as a message. */
  give(commands: CommandReader): void {
    const { turn, turns, clock } = this.context;
    turn.request();
    const nowMs = clock.nowMs();
    turns.look(nowMs);
    const waits = this.#held !== null || turns.left <= 0;
    if (waits || !this.#carryOut(commands, null, false, 0, nowMs)) this.#hold(commands, null, false);
  }

  /** Its WebSocket message has more bytes than it may have. */
  tooLarge(): void {
    this.context.metrics.limits['websocket.maxPayloadBytes']++;
    this.close(CLOSE.tooLarge);
  }

  /** The peer sent a ping or a pong. */
  controlFrame(): void {
    if (this.#open) this.#idleFrame('control_frames', this.context.clock.nowMs());
  }

  #idleFrame(kind: 'messages' | 'control_frames', nowMs: number): void {
    if (this.#allowance.idleFrame(this.context.limits, nowMs) === FLOOD) this.#flooded(kind, 0);
  }

  /**
   * Carries out a message, or what is left of one, until the turn has no more than `floor` units left, or a token
   * has to be checked. Returns false if commands may be left. Stops decoding once the connection is closed: what a
   * peer sends after that costs only its bytes.
   */
  #carryOut(
    rest: CommandReader,
    refusal: OverLimit | null,
    isWhole: boolean,
    floor: number,
    nowMs: number,
  ): boolean {
    const { turns, clock } = this.context;
    let sinceLook = 0;
    const first = rest.next();
    if (first === null && isWhole) this.#idleFrame('messages', nowMs);
    if (first !== null && refusal === null && this.#hasExpired() && first.type !== 'auth') this.#expire();
    for (
      let command = this.#open ? first : null;
      command !== null;
      command = this.#open ? rest.next() : null
    ) {
      turns.left--;
      if (command.type === 'undecodable') this.#undecodable(command);
      else if (refusal !== null) this.#refuse(command.id, refusal, nowMs);
      else if (!this.#withinRate(command, nowMs)) {
        // It has been answered.
      } else if (command.type === 'rejected') this.#violation(command);
      else this.#run(command);
      if (++sinceLook === LOOK_EVERY) {
        sinceLook = 0;
        turns.look(clock.nowMs());
      }
      if (this.#isChecking || turns.left <= floor) return false;
    }
    return true;
  }

  #undecodable({ reason }: Undecodable): void {
    const address = this.socket.remoteAddress;
    this.context.log.debug({ connection: this.id, address, reason }, 'undecodable message');
    this.close(CLOSE.undecodable);
  }

  #run(command: Command): void {
    const { commands, metrics } = this.context;
    this.#violations = 0;
    metrics.commands.received[command.type]++;
    if (this.awaitsAuth && command.type !== 'auth') {
      this.fail(command.id, 'unauthorized', 'authenticate first: send an auth frame with a token');
      return this.close(CLOSE.unauthorized);
    }
    // The command's type selected its handler.
    this.#attempt(commands[command.type] as CommandHandler<Command>, command);
  }

  #attempt<C extends Command>(run: CommandHandler<C>, command: C): void {
    try {
      run(this, command);
    } catch (error) {
      // Our own fault must not take the node down with all of its connections.
      const address = this.socket.remoteAddress;
      this.context.log.error({ error, command: command.type, address }, 'command handler failed');
      this.fail(command.id, 'internal', 'the node failed to handle this command');
    }
  }

  #withinRate({ id }: Command | RejectedCommand, nowMs: number): boolean {
    const waiting = this.awaiting + this.requests;
    const verdict = this.#allowance.command(this.context.limits, this.user, waiting, nowMs);
    return verdict === WITHIN || this.#refused(id, verdict);
  }

  /** Whether one more join is within the rate; else it is answered. */
  takesJoin(id: number): boolean {
    const { limits, clock } = this.context;
    const verdict = this.#allowance.join(limits, this.user, clock.nowMs());
    return verdict === WITHIN || this.#refused(id, verdict);
  }

  /** Milliseconds after which one more idempotency key may come; 0: now. */
  keyAfterMs(): number {
    const { limits, clock } = this.context;
    return this.#allowance.key(limits, this.user, clock);
  }

  #refused(id: number, verdict: number): false {
    const { limits, metrics } = this.context;
    metrics.commands.rateLimited++;
    if (verdict === FLOOD) this.#flooded('commands', id);
    else this.overLimit(id, this.#allowance.refusal(limits, verdict));
    return false;
  }

  /** Answers a command of a message that takes the connection, or its user, over its bytes a second. */
  #refuse(id: number, refusal: OverLimit, nowMs: number): void {
    if (this.#allowance.refusedCommand(this.context.limits, nowMs) === FLOOD) this.#flooded('bytes', id);
    else this.overLimit(id, refusal);
  }

  #flooded(what: FloodLabel, id: number): void {
    this.context.metrics.connections.floods[what]++;
    const address = this.socket.remoteAddress;
    this.context.log.debug({ connection: this.id, address, what }, 'connection sent too much');
    // The two others have no setting.
    const isSet = what === 'commands' || what === 'bytes';
    const details = isSet ? this.#allowance.refusal(this.context.limits, null).details : undefined;
    this.fail(id, 'rate_limited', FLOOD_MESSAGES[what], details);
    this.close(CLOSE.rateLimited);
  }

  #violation(rejected: RejectedCommand): void {
    this.fail(rejected.id, rejected.code, rejected.message);
    if (++this.#violations > MAX_VIOLATIONS) this.close(CLOSE.violations);
  }

  // ---- what waits -----------------------------------------------------------------------------------------

  /** Keeps what a message has left, and closes the connection if that is too much. */
  #hold(commands: CommandReader, refusal: OverLimit | null, isWhole: boolean): void {
    if (!this.#open) return;
    const bytes = commands.keep();
    if (bytes === 0 && !isWhole) return;
    this.#held ??= new HeldCommands(this.context.turns);
    this.#held.add({ commands, refusal, isWhole }, bytes);
    if (this.#held.bytes > this.#mostHeldBytes) return this.#heldTooMuch();
    if (this.#floods(this.#held.messages)) return this.#flooded('commands', 0);
    if (!this.#isChecking) this.context.turns.wait(this);
  }

  /**
   * Whether so many messages that wait are worth no answer: more than it may send at once and have refused, or those of
   * a user or an address that is closed for each. Reading many small ones takes longer than what they ask for.
   */
  #floods(messages: number): boolean {
    const { limits, clock } = this.context;
    if (messages > limits.heldMessages) return this.#allowance.exceedsCommands();
    if (messages % USER_CHARGE_COMMANDS !== 0) return false;
    return this.#allowance.isFlooding(limits, this.user, clock.nowMs());
  }

  /** As much as one turn may bring in while the node has room for it; little for a client that has not authenticated. */
  get #mostHeldBytes(): number {
    const { limits, turns, maxPayloadBytes, maxUnsentBytes } = this.context;
    if (this.awaitsAuth) return Math.min(maxPayloadBytes, maxUnsentBytes);
    // A single message may always wait.
    return Math.max(2 * maxPayloadBytes, Math.min(limits.turnBytes, turns.share));
  }

  #heldTooMuch(): void {
    if (this.#isChecking) {
      this.fail(0, 'limit_exceeded', 'too many commands while the token is being checked');
      return this.close(CLOSE.violations);
    }
    this.context.metrics.connections.floods.commands++;
    this.fail(0, 'rate_limited', 'too many commands wait for their turn: wait for replies');
    this.close(CLOSE.rateLimited);
  }

  /** A token is being checked. From now on commands wait, in order, for `resume`. */
  pause(): void {
    this.#isChecking = true;
    this.#held ??= new HeldCommands(this.context.turns);
  }

  /** A token is being checked, or commands wait for their turn. */
  get isPaused(): boolean {
    return this.#held !== null;
  }

  /** The token has been checked. */
  resume(): void {
    this.#isChecking = false;
    if (this.carryOn(this.context.turns.left)) this.context.turns.wait(this);
  }

  /** Its turn has come: see `TurnTaker`. */
  carryOn(units: number): boolean {
    const held = this.#held;
    if (held === null || this.#isChecking) return false;
    const { turns, clock } = this.context;
    const nowMs = clock.nowMs();
    turns.look(nowMs);
    const floor = Math.max(0, turns.left - units);
    for (let message = held.first; message !== null && this.#open; message = held.first) {
      if (turns.left <= floor) return true;
      const { commands, refusal, isWhole } = message;
      message.isWhole = false;
      const isDone = this.#carryOut(commands, refusal, isWhole, floor, nowMs);
      if (!this.#open || (!isDone && this.#isChecking)) return false;
      if (isDone) held.shift();
    }
    this.#held = null;
    return false;
  }

  /** Checked when the peer sends something and at each heartbeat, so that expiry needs no timer. */
  #hasExpired(): boolean {
    const expiresAtMs = this.identity?.expiresAtMs ?? null;
    return expiresAtMs !== null && this.context.clock.wallMs() >= expiresAtMs + CLOCK_TOLERANCE_MS;
  }

  #expire(): void {
    this.fail(0, 'token_expired', 'the token has expired: present a new one');
    this.close(CLOSE.tokenExpired);
  }

  /** Queues the reply of a command that succeeded. An id of 0 asked for no reply. */
  ok(id: number, result: Result): void {
    if (id !== 0) this.push(['ok', id, result]);
  }

  publishOk(id: number, epoch: string, offset: number, duplicate: boolean): void {
    if (id !== 0) this.queue(this.codec.encodePublishOk(id, epoch, offset, duplicate));
  }

  /** Queues the reply of a command that failed; also for an id of 0. */
  fail(id: number, code: ErrorCode, message: string, details?: ErrorDetails): void {
    const { errors, limits } = this.context.metrics;
    errors[code]++;
    if (details?.limit !== undefined) limits[details.limit as LimitLabel]++;
    this.push(details ? ['error', id, code, message, details] : ['error', id, code, message]);
  }

  /** A limit turns a command away. */
  overLimit(id: number, { code, message, details }: OverLimit): void {
    this.fail(id, code, message, details);
  }

  /** A command is not permitted. */
  refuse(id: number, { code, message, retryAfterMs }: Refusal): void {
    this.fail(id, code, message, retryAfterMs === undefined ? undefined : { retryAfterMs });
  }

  /** `epoch`: of the room's numbering, for a `gap`. */
  push(frame: ServerFrame, epoch = ''): void {
    if (this.#open) this.queue(this.codec.encode(frame, epoch));
  }

  /** Queues an encoded frame for the end of the turn. */
  queue(frame: Uint8Array | string): void {
    if (!this.#open) return;
    if (this.#outbox === null) this.#outbox = [frame];
    else this.#outbox.push(frame);
    if (this.#lane !== 'none') return;
    this.#lane = 'rest';
    this.context.flushQueue.addRest(this);
  }

  /** Makes the queued frames leave before the turn's room messages. */
  flushBeforeMessages(): void {
    if (this.#lane === 'first' || this.#outbox === null) return;
    this.#lane = 'first';
    this.context.flushQueue.addFirst(this);
  }

  /** Sends the queued frames. Called by `FlushQueue` at the end of the turn. */
  flush(): void {
    const frames = this.#outbox;
    this.#lane = 'none';
    if (frames === null || !this.#open) return;
    this.#outbox = null;
    this.socket.cork(() => {
      const left = sendFrames(this.socket, this.codec, frames);
      if (left !== null) this.#unsent(left);
    });
  }

  /** The peer does not read, and its queue is full: keep the rest until it drains, within limits. */
  #unsent(frames: readonly (Uint8Array | string)[]): void {
    if (!this.#open) return;
    let bytes = 0;
    for (const frame of frames) bytes += frame.length;
    const { maxUnsentBytes, metrics } = this.context;
    if (bytes > maxUnsentBytes) {
      // No error could reach it: it does not read.
      metrics.limits['websocket.backpressureBytes']++;
      return this.close(CLOSE.tooSlow);
    }
    this.#outbox = frames.map(toKeep);
    this.context.stalled(this);
  }

  /** Queued frames could not be sent, and wait for the socket to drain. */
  get isStalled(): boolean {
    return this.#outbox !== null && this.#lane === 'none';
  }

  /**
   * Bytes that may be sent in one turn besides replies. With more than this waiting, the connection is
   * behind. It is half of the maximum that may wait, since a connection given more than the maximum is
   * closed.
   */
  get fillBytes(): number {
    return Math.min(BEHIND_BYTES, this.context.maxUnsentBytes / 2);
  }

  /** So much waits for the peer that more would only be kept here. The socket reports when it drains. */
  get isBehind(): boolean {
    return this.isStalled || this.socket.bufferedBytes() > this.fillBytes;
  }

  /** The socket has room again. */
  drained(): void {
    if (this.#outbox !== null) this.flush();
  }

  /**
   * The heartbeat. A peer whose token has expired is closed instead of pinged, unless a new token is being
   * checked.
   */
  ping(): void {
    if (!this.#isChecking && this.#hasExpired()) this.#expire();
    else this.socket.ping();
  }

  /** Two heartbeat intervals passed without a sign of life. */
  silent(): void {
    this.context.metrics.connections.heartbeatTimeouts++;
    this.close(CLOSE.heartbeatTimeout);
    // The peer is likely gone, and would never acknowledge the close frame.
    this.socket.destroy();
  }

  /** Sends what is queued, then closes. Nothing queued later is sent. Harmless when closed. */
  close(reason: CloseReason): void {
    if (!this.#open) return;
    this.flush();
    // The flush may just have closed a peer that does not read.
    if (!this.#open) return;
    this.#open = false;
    this.#dropHeld();
    this.socket.end(reason);
  }

  #dropHeld(): void {
    this.#held?.drop();
    this.#held = null;
  }

  /** The socket is gone. */
  closed(): void {
    this.#open = false;
    this.#outbox = null;
    this.#dropHeld();
  }
}

const NO_ROOMS: readonly string[] = Object.freeze([]);

/** Reads as a message of one command, which refers to no buffer. */
function onlyOne(command: RejectedCommand): CommandReader {
  let next: RejectedCommand | null = command;
  return {
    next: () => {
      const only = next;
      next = null;
      return only;
    },
    keep: () => (next === null ? 0 : 1),
  };
}

/** The error that a client gets before it is closed with 4009. */
const FLOOD_MESSAGES: Readonly<Record<FloodLabel, string>> = {
  messages: 'too many messages without a command',
  control_frames: 'too many pings or pongs',
  commands: 'too many commands: after a refusal, wait for retryAfterMs',
  bytes: 'too many bytes at once: after a refusal, wait for retryAfterMs',
};
