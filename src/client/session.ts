/** One connection's life in the protocol: hello, requests and their replies, pushes, the end. */
import type {
  AuthResult,
  CommandFrame,
  ErrorFrame,
  HelloInfo,
  PublishOptions,
  ServerFrame,
} from '../protocol/frames.ts';
import type { Timer } from '../util/scheduler.ts';
import type { Chunk, ClientCodec } from './codec.ts';
import { DisconnectedError, messageOf, RefusedError } from './errors.ts';
import { Outbox } from './outbox.ts';
import { Pace } from './pace.ts';
import { Pulse } from './pulse.ts';
import { LINK_LOST, type Reply, type SessionEvents, type SessionOptions } from './session-parts.ts';
import type { Link } from './transport.ts';

/** Nodes accept at least so much before hello tells the limit. */
const LEAST_MAX_PAYLOAD = 16 * 1024;
/** Until hello says otherwise. */
const SILENT_AFTER_MS = 30_000;

export class Session {
  readonly #options: SessionOptions;
  readonly #events: SessionEvents;
  readonly #codec: ClientCodec;
  readonly #link: Link;
  readonly #outbox: Outbox;
  readonly #replies = new Map<number, Reply>();
  readonly #connectTimer: Timer;
  #lastId = 0;
  #hello: HelloInfo | null = null;
  #pulse: Pulse | null = null;
  #pace: Pace | null = null;
  #awaitsAuth: boolean;
  #user: string | null = null;
  #isOver = false;
  /** How long `bye` asked to wait. */
  #byeMs: number | null = null;
  #error: RefusedError | null = null;

  constructor(options: SessionOptions, events: SessionEvents) {
    this.#options = options;
    this.#events = events;
    const { environment, transport, url, token, connectTimeoutMs } = options;
    const codec = transport.codec ?? options.codec;
    this.#codec = codec;
    this.#awaitsAuth = token !== null;
    this.#connectTimer = environment.scheduler.after(connectTimeoutMs, () =>
      this.end(LINK_LOST, 'the node did not answer in time'),
    );
    this.#outbox = new Outbox(codec, environment, (message) => this.#link.send(message));
    this.#link = transport.open(url, codec.subprotocol, token, {
      opened: () => this.#opened(),
      message: (data) => this.#received(data),
      closed: (code, reason) => this.#ended(code, reason),
    });
  }

  get isReady(): boolean {
    return this.#pulse !== null && !this.#isOver;
  }

  /** Bytes of one WebSocket message that the node accepts. */
  get #maxPayload(): number {
    return this.#hello?.maxPayload ?? LEAST_MAX_PAYLOAD;
  }

  get bufferedBytes(): number {
    return this.#link.bufferedBytes;
  }

  /** How long to wait before a publish with so large a payload, so that the node does not refuse it; 0 or less: not at all. */
  waitMs(bytes: number): number {
    return this.#pace?.waitMs(bytes, this.#nowMs) ?? 0;
  }

  /** `reply` is called while the WebSocket message that answers is read, before what follows in the same message. */
  ask(build: (id: number) => CommandFrame, reply: Reply): void {
    this.#send((id) => {
      const frame = build(id);
      this.#options.inspector.add('sent', frame);
      return this.#codec.encode(frame);
    }, reply);
  }

  /** Rejects with `RefusedError` or `DisconnectedError`. */
  request<R>(build: (id: number) => CommandFrame): Promise<R> {
    return new Promise((resolve, reject) => {
      this.ask(build, (error, result) => (error === null ? resolve(result as R) : reject(error)));
    });
  }

  /** Publishes a payload that is packed already. `reply` null: it asks for no reply, and throws `RefusedError` for what cannot be sent. */
  publish(room: string, data: Chunk, options: PublishOptions, reply: Reply | null): void {
    const build = (id: number) => {
      this.#options.inspector.add('sent', ['publish', id, room, data, options]);
      return this.#codec.encodePublish(id, room, data, options);
    };
    if (reply === null) this.#add(build(0));
    else this.#send(build, reply);
  }

  /** Asks whether the link is alive. No answer in time ends it. */
  probe(): void {
    if (!this.#isOver) this.#pulse?.probe();
  }

  /** Ends the connection from this side. What was sent in this turn still leaves. */
  end(code: number, reason: string): void {
    if (this.#isOver) return;
    this.#outbox.flush(this.#maxPayload);
    this.#link.abandon();
    this.#ended(code, reason);
  }

  #opened(): void {
    const { token, transport } = this.#options;
    if (token === null || transport.name !== 'websocket') this.#awaitsAuth = false;
    else
      this.ask(
        (id) => ['auth', id, token],
        (error, result) => this.#authAnswered(error, result),
      );
  }

  #authAnswered(error: Error | null, result: unknown): void {
    if (error instanceof RefusedError && error.code !== 'bad_request') {
      // The node closes the connection.
      this.#error = error;
    } else if (!this.#isOver) {
      // `bad_request`: a node without authentication, which takes everyone.
      this.#awaitsAuth = false;
      const { user = null, expiresAt = null } = (result ?? {}) as Partial<AuthResult>;
      this.#user = user;
      this.#events.authenticated(expiresAt);
      this.#becomeReady();
    }
  }

  #received(data: unknown): void {
    this.#pulse?.heard();
    try {
      for (const frame of this.#codec.decode(data)) {
        // What comes after the end, or after a listener closed the client, belongs to nobody.
        if (this.#isOver) return;
        this.#options.inspector.add('received', frame);
        this.#take(frame);
      }
    } catch (error) {
      // Such as the page of a captive portal. Whatever sent it, it is not a node.
      this.end(LINK_LOST, `something that is not Roomcast answered: ${messageOf(error)}`);
    }
  }

  #take(frame: ServerFrame): void {
    // A node that ends the connection over an error says nothing else after it.
    if (frame[0] !== 'bye') this.#error = null;
    switch (frame[0]) {
      case 'hello':
        this.#hello = frame[1];
        this.#pace = new Pace(frame[1]);
        return this.#becomeReady();
      case 'ok':
        return this.#answer(frame[1], null, frame[2]);
      case 'error':
        return this.#failed(frame);
      case 'bye':
        this.#byeMs = frame[2].reconnectAfterMs;
        return;
      default:
        this.#events.push(frame);
    }
  }

  #failed([, id, code, message, details]: ErrorFrame): void {
    const error = new RefusedError(code, message, details);
    if (id !== 0) return this.#answer(id, error);
    this.#error = error;
    // A fresh token cures these, or the client closes with the reason.
    if (this.isReady && !code.startsWith('token_')) this.#events.failed(error);
  }

  #answer(id: number, error: Error | null, result?: unknown): void {
    const reply = this.#replies.get(id);
    this.#replies.delete(id);
    reply?.(error, result);
  }

  #becomeReady(): void {
    const hello = this.#hello;
    if (this.#pulse !== null || hello === null || this.#awaitsAuth || this.#isOver) return;
    this.#connectTimer.cancel();
    this.#pulse = new Pulse({
      environment: this.#options.environment,
      silentAfterMs: hello.silentAfterMs ?? SILENT_AFTER_MS,
      answerWithinMs: this.#options.probeTimeoutMs,
      ask: (answered) => this.ask((id) => ['ping', id], answered),
      dead: () => this.end(LINK_LOST, 'the node did not answer a ping'),
    });
    this.#events.ready(hello, hello.user ?? this.#user);
  }

  #send(build: (id: number) => Chunk, reply: Reply): void {
    if (this.#isOver) return reply(new DisconnectedError());
    const id = ++this.#lastId;
    this.#replies.set(id, reply);
    try {
      this.#add(build(id));
    } catch (error) {
      // What cannot be encoded or sent is refused here. On its way it would cost the connection.
      this.#answer(
        id,
        error instanceof RefusedError ? error : new RefusedError('bad_request', messageOf(error)),
      );
    }
  }

  #add(chunk: Chunk): void {
    const bytes = this.#codec.sizeOf(chunk);
    const maxPayload = this.#maxPayload;
    // Without hello the limit is not known.
    if (this.#hello !== null && bytes > maxPayload) {
      throw new RefusedError(
        'payload_too_large',
        `it takes ${bytes} bytes, and the node accepts ${maxPayload} (websocket.maxPayloadBytes)`,
      );
    }
    this.#pace?.sent(bytes, this.#nowMs);
    this.#outbox.add(chunk, bytes, maxPayload);
  }

  get #nowMs(): number {
    return this.#options.environment.scheduler.nowMs();
  }

  #ended(code: number, reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#connectTimer.cancel();
    this.#pulse?.stop();
    const wasReady = this.#pulse !== null;
    // A link that breaks later does so for a reason of its own.
    const error = wasReady && code === LINK_LOST ? null : this.#error;
    const retryAfterMs = this.#byeMs ?? error?.retryAfterMs ?? null;
    const replies = [...this.#replies.values()];
    this.#replies.clear();
    for (const reply of replies) reply(new DisconnectedError());
    this.#events.ended({ code, reason, wasReady, retryAfterMs, error });
  }
}
