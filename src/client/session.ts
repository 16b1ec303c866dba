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
import type { Environment } from './environment.ts';
import { DisconnectedError, messageOf, RefusedError } from './errors.ts';
import type { Inspector } from './inspector.ts';
import { Outbox } from './outbox.ts';
import { Pace } from './pace.ts';
import { Pulse } from './pulse.ts';
import type { Link, Transport } from './transport.ts';

export interface SessionEnd {
  readonly code: number;
  readonly reason: string;
  /** The node said hello: the connection may have been used. */
  readonly wasReady: boolean;
  /** How long the node asked to wait before the next connection; null where it did not. */
  readonly retryAfterMs: number | null;
  /** The last error that answered no request, or that refused the token: mostly why the node ended the connection. */
  readonly error: RefusedError | null;
}

export interface SessionEvents {
  /** The connection may be used. Called once. `user`: whom the node takes the client for. */
  ready(info: HelloInfo, user: string | null): void;
  /** The node accepted the token. */
  authenticated(expiresAtMs: number | null): void;
  push(frame: ServerFrame): void;
  /** An error that answers no request, on a connection that goes on. */
  failed(error: RefusedError): void;
  /** Exactly once, last. */
  ended(end: SessionEnd): void;
}

export interface SessionOptions {
  readonly url: string;
  readonly token: string | null;
  readonly transport: Transport;
  readonly codec: ClientCodec;
  readonly environment: Environment;
  readonly inspector: Inspector;
  /** From opening the link until the connection may be used. */
  readonly connectTimeoutMs: number;
  /** How long a node may take to answer a ping. */
  readonly probeTimeoutMs: number;
}

/** Takes the result of a request, or why there is none. */
export type Reply = (error: Error | null, result: unknown) => void;

/** Nodes accept at least so much before hello tells the limit. */
const LEAST_MAX_PAYLOAD = 16 * 1024;
/** Until hello says otherwise. */
const SILENT_AFTER_MS = 30_000;
export const LINK_LOST = 1006;

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
  /** As `bye` said. */
  #retryAfterMs: number | null = null;
  #error: RefusedError | null = null;
  /** Nothing came after the error. */
  #isErrorLast = false;

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
  get maxPayload(): number {
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

  /** Publishes a payload that is packed already. `reply` null: it asks for no reply. */
  publish(room: string, data: Chunk, options: PublishOptions, reply: Reply | null): void {
    const { inspector } = this.#options;
    const build = (id: number) => {
      inspector.publish(id, room, data, options);
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
    this.#outbox.flush(this.maxPayload);
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
      this.#noteError(error);
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
    this.#isErrorLast = false;
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
        this.#retryAfterMs = frame[2].reconnectAfterMs;
        return;
      default:
        this.#events.push(frame);
    }
  }

  #failed([, id, code, message, details]: ErrorFrame): void {
    const error = new RefusedError(code, message, details?.retryAfterMs ?? null);
    if (id !== 0) return this.#answer(id, error, null);
    this.#noteError(error);
    // A fresh token cures an expired one.
    if (this.isReady && code !== 'token_expired') this.#events.failed(error);
  }

  #noteError(error: RefusedError): void {
    this.#error = error;
    this.#isErrorLast = true;
  }

  #answer(id: number, error: Error | null, result: unknown): void {
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
    if (this.#isOver) return reply(new DisconnectedError(), null);
    const id = ++this.#lastId;
    this.#replies.set(id, reply);
    this.#add(build(id));
  }

  #add(chunk: Chunk): void {
    if (this.#isOver) return;
    const bytes = this.#codec.sizeOf(chunk);
    this.#pace?.sent(bytes, this.#nowMs);
    this.#outbox.add(chunk, bytes, this.maxPayload);
  }

  get #nowMs(): number {
    return this.#options.environment.scheduler.nowMs();
  }

  /** An error says how long to stay away if the node ended the connection with it; else it was about one command. */
  #waitAskedFor(code: number): number | null {
    const isWhy = this.#isErrorLast && code !== LINK_LOST;
    return (isWhy ? this.#error?.retryAfterMs : null) ?? this.#retryAfterMs;
  }

  #ended(code: number, reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#connectTimer.cancel();
    this.#pulse?.stop();
    const replies = [...this.#replies.values()];
    this.#replies.clear();
    for (const reply of replies) reply(new DisconnectedError(), null);
    this.#events.ended({
      code,
      reason,
      wasReady: this.#pulse !== null,
      retryAfterMs: this.#waitAskedFor(code),
      error: this.#error,
    });
  }
}
