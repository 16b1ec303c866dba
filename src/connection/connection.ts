import type { Refusal } from '../auth/authorize.ts';
import { CLOCK_TOLERANCE_MS, type Identity } from '../auth/identity.ts';
import type { LimitLabel } from '../metrics/labels.ts';
import type { ServerCodec } from '../protocol/codec.ts';
import { CLOSE, type CloseReason, type ErrorCode } from '../protocol/codes.ts';
import type { CommandReader, ErrorDetails, Result, ServerFrame } from '../protocol/frames.ts';
import type { ReaderEncoding } from '../protocol/subprotocol.ts';
import { Allowance } from './allowance.ts';
import type { ConnectionContext } from './context.ts';
import { Intake, type Receiver } from './intake.ts';
import { Outbox, type Sender } from './outbox.ts';
import type { OverLimit } from './over-limit.ts';
import type { Socket } from './socket.ts';

/**
 * One client's session on a socket: who it is, what it is told, and how it ends. What it sends is read by its `Intake`,
 * and what it is sent leaves through its `Outbox`. A node holds tens of thousands of these, so every field counts.
 */
export class Connection implements Receiver<Connection>, Sender {
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
  readonly #intake: Intake<Connection>;
  readonly #outbox: Outbox;

  constructor(
    number: number,
    socket: Socket,
    codec: ServerCodec,
    identity: Identity | null,
    context: ConnectionContext<Connection>,
    allowance = new Allowance(),
  ) {
    this.number = number;
    this.socket = socket;
    this.codec = codec;
    this.identity = identity;
    this.context = context;
    this.#intake = new Intake<Connection>(this, allowance);
    this.#outbox = new Outbox(this);
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
    this.#outbox.flushBeforeMessages();
  }

  // ---- what the client sends ------------------------------------------------------------------------------

  /** Takes one WebSocket message, binary or text. The caller may reuse the bytes once this returns. */
  receive(message: Uint8Array, isBinary = !this.readsText): void {
    this.#intake.receive(message, isBinary);
  }

  /** Carries out commands that came in another way than as a message. */
  give(commands: CommandReader): void {
    this.#intake.give(commands);
  }

  /** Its WebSocket message has more bytes than it may have. */
  tooLarge(): void {
    this.context.metrics.limits['websocket.maxPayloadBytes']++;
    this.close(CLOSE.tooLarge);
  }

  /** The peer sent a ping or a pong. */
  controlFrame(): void {
    if (this.#open) this.#intake.idleFrame('control_frames', this.context.clock.nowMs());
  }

  /** Its commands that wait for their reply. */
  get waiting(): number {
    return this.awaiting + this.requests;
  }

  /** Whether one more join is within the rate; else it is answered. */
  takesJoin(id: number): boolean {
    return this.#intake.takesJoin(id);
  }

  /** Milliseconds after which one more idempotency key may come; 0: now. */
  keyAfterMs(): number {
    return this.#intake.keyAfterMs();
  }

  /** A token is being checked. From now on commands wait, in order, for `resume`. */
  pause(): void {
    this.#intake.pause();
  }

  /** The token has been checked. */
  resume(): void {
    this.#intake.resume();
  }

  /** A token is being checked, or commands wait for their turn. */
  get isPaused(): boolean {
    return this.#intake.isPaused;
  }

  /** Checked when the peer sends something and at each heartbeat, so that expiry needs no timer. */
  get hasExpired(): boolean {
    const expiresAtMs = this.identity?.expiresAtMs ?? null;
    return expiresAtMs !== null && this.context.clock.wallMs() >= expiresAtMs + CLOCK_TOLERANCE_MS;
  }

  expire(): void {
    this.fail(0, 'token_expired', 'the token has expired: present a new one');
    this.close(CLOSE.tokenExpired);
  }

  // ---- what the client is told ----------------------------------------------------------------------------

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
    if (this.#open) this.#outbox.queue(this.codec.encode(frame, epoch));
  }

  /** Queues an encoded frame for the end of the turn. */
  queue(frame: Uint8Array | string): void {
    if (this.#open) this.#outbox.queue(frame);
  }

  /** Makes the queued frames leave before the turn's room messages. */
  flushBeforeMessages(): void {
    this.#outbox.flushBeforeMessages();
  }

  /** Sends the queued frames now. */
  flush(): void {
    this.#outbox.flush();
  }

  /** Replies wait because its peer does not read. */
  stalled(): void {
    this.context.stalled(this);
  }

  /** See `Outbox`. */
  get isStalled(): boolean {
    return this.#outbox.isStalled;
  }

  /** See `Outbox`. */
  get fillBytes(): number {
    return this.#outbox.fillBytes;
  }

  /** See `Outbox`. */
  get isBehind(): boolean {
    return this.#outbox.isBehind;
  }

  /** The socket has room again. */
  drained(): void {
    this.#outbox.drained();
  }

  // ---- how it ends ----------------------------------------------------------------------------------------

  /**
   * The heartbeat. A peer whose token has expired is closed instead of pinged, unless a new token is being
   * checked.
   */
  ping(): void {
    if (!this.#intake.isChecking && this.hasExpired) this.expire();
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
    this.#outbox.flush();
    // The flush may just have closed a peer that does not read.
    if (!this.#open) return;
    this.#open = false;
    this.#intake.drop();
    this.socket.end(reason);
  }

  /** The socket is gone. */
  closed(): void {
    this.#open = false;
    this.#outbox.drop();
    this.#intake.drop();
  }
}

const NO_ROOMS: readonly string[] = Object.freeze([]);
