/** Gets a connection, and another one when it is gone: when, to which node, and when to stop. */
import { shouldReconnect } from '../protocol/codes.ts';
import type { HelloInfo, ServerFrame } from '../protocol/frames.ts';
import type { Timer } from '../util/scheduler.ts';
import type { ClientCodec } from './codec.ts';
import type { Environment, PageChange } from './environment.ts';
import { isUnauthorized, messageOf, RefusedError } from './errors.ts';
import type { Inspector } from './inspector.ts';
import { Session } from './session.ts';
import { LINK_LOST, type SessionEnd } from './session-parts.ts';
import type { TransportName } from './status.ts';
import type { TokenSource } from './tokens.ts';
import type { Transport } from './transport.ts';

export interface ConnectorParts {
  /** Tried in turn. */
  readonly urls: readonly string[];
  readonly codec: ClientCodec;
  readonly environment: Environment;
  readonly tokens: TokenSource;
  readonly inspector: Inspector;
  readonly timing: ReconnectTiming;
  readonly transport: Transport;
  /** Loads what to use where WebSockets cannot be opened. Null: nothing. */
  readonly loadFallback: (() => Promise<Transport>) | null;
  /** What must be there before the first connection. */
  readonly prepared: () => Promise<unknown> | undefined;
}

export interface ReconnectTiming {
  readonly baseMs: number;
  readonly capMs: number;
  readonly connectTimeoutMs: number;
  readonly probeTimeoutMs: number;
}

export interface ConnectorEvents {
  connecting(attempt: number): void;
  connected(session: Session, hello: HelloInfo, user: string | null): void;
  push(frame: ServerFrame): void;
  /** Something that no promise tells. The client goes on. */
  failed(error: unknown): void;
  /** A connection that was used is gone. `waiting` or `closed` follows. */
  lost(): void;
  waiting(attempt: number, reason: string, delayMs: number): void;
  closed(reason: string, code: number | null): void;
}

/** Nobody looks at a hidden page: it leaves the first places to the others. */
const HIDDEN_FACTOR = 3;
/** A page that is shown or online again waits at most so long. */
const BACK_MS = 50;
/** A connection that lasted so long was a good one: the count of attempts begins anew. */
const STABLE_MS = 5_000;
/** Connections in a row that never opened, at each URL, before something other than WebSockets is tried. */
const FAILURES_BEFORE_FALLBACK = 3;
const TOKEN_EXPIRED = 4002;
const TOKEN_REVOKED = 4505;

export class Connector {
  readonly #parts: ConnectorParts;
  readonly #events: ConnectorEvents;
  #state: 'idle' | 'busy' | 'closed' = 'idle';
  #session: Session | null = null;
  #transport: Transport;
  #attempt = 0;
  #neverOpened = 0;
  /** Loaded once WebSockets did not open for long; forgotten when one does. */
  #fallback: Transport | null = null;
  /** The present token stands for one that was revoked, and no node has accepted it yet. */
  #isReplacement = false;
  #nextUrl = 0;
  #readyAtMs = 0;
  #wait: Timer | null = null;
  /** The node asked to be left alone for a while. */
  #mustWait = false;
  #unwatch: (() => void) | undefined;

  constructor(parts: ConnectorParts, events: ConnectorEvents) {
    this.#parts = parts;
    this.#events = events;
    this.#transport = parts.transport;
  }

  /** The connection, where it may be used. */
  get session(): Session | null {
    return this.#session?.isReady ? this.#session : null;
  }

  get transport(): TransportName {
    return this.#transport.name;
  }

  /** Begins to connect. Harmless when it has, or when closed. */
  start(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'busy';
    this.#unwatch = this.#parts.environment.page?.watch((change) => this.#pageChanged(change));
    void this.#connect();
  }

  /** For good. May be called twice. */
  close(reason: string, code: number | null): void {
    if (this.#isClosed) return;
    this.#state = 'closed';
    this.#unwatch?.();
    this.#wait?.cancel();
    this.#parts.tokens.stop();
    const session = this.#session;
    this.#session = null;
    session?.end(1000, reason);
    this.#events.closed(reason, code);
  }

  /** Ends the present connection, as a broken link would. */
  drop(reason: string): void {
    this.#session?.end(LINK_LOST, reason);
  }

  /** A method, since listeners may close the client while any other one runs. */
  get #isClosed(): boolean {
    return this.#state === 'closed';
  }

  async #connect(): Promise<void> {
    this.#events.connecting(this.#attempt + 1);
    try {
      await this.#parts.prepared();
      if (this.#isClosed) return;
      const token = await this.#parts.tokens.forConnection();
      if (!this.#isClosed) this.#open(token);
    } catch (error) {
      if (this.#isClosed) return;
      if (isUnauthorized(error)) this.close(error.message, this.#isReplacement ? TOKEN_REVOKED : null);
      else this.#waitAfter(`no token: ${messageOf(error)}`, null);
    }
  }

  #open(token: string | null): void {
    const { urls, timing } = this.#parts;
    const url = urls[this.#nextUrl++ % urls.length]!;
    const session: Session = new Session(
      { ...this.#parts, ...timing, url, token, transport: this.#transport },
      {
        ready: (hello, user) => this.#ready(session, hello, user),
        authenticated: (expiresAtMs) => this.#authenticated(session, expiresAtMs),
        push: this.#events.push,
        failed: this.#events.failed,
        ended: (end) => this.#ended(session, end),
      },
    );
    this.#session = session;
  }

  #ready(session: Session, hello: HelloInfo, user: string | null): void {
    this.#isReplacement = false;
    this.#readyAtMs = this.#parts.environment.scheduler.nowMs();
    // Where WebSockets are blocked, they stay so.
    if (this.#transport === this.#parts.transport) {
      this.#neverOpened = 0;
      this.#fallback = null;
    }
    this.#events.connected(session, hello, user);
  }

  #authenticated(session: Session, expiresAtMs: number | null): void {
    const present = async (token: string) => {
      const auth = await session.request<{ expiresAt: number | null }>((id) => ['auth', id, token]);
      this.#authenticated(session, auth.expiresAt);
    };
    this.#parts.tokens.accepted(expiresAtMs, present, (error) => {
      if (isUnauthorized(error)) this.close(error.message, null);
      // The node closes the connection, and the next one brings a fresh token.
      else if (!(error instanceof RefusedError && error.code === 'token_expired')) this.#events.failed(error);
    });
  }

  #ended(session: Session, end: SessionEnd): void {
    if (this.#session !== session) return;
    const { code, reason, wasReady, retryAfterMs, error } = end;
    this.#session = null;
    this.#parts.tokens.stop();
    const lastedMs = this.#parts.environment.scheduler.nowMs() - this.#readyAtMs;
    if (wasReady && lastedMs >= STABLE_MS) this.#attempt = 0;
    if (!wasReady && code === LINK_LOST) this.#neverOpened++;
    if (wasReady) this.#events.lost();
    if (this.#isClosed) return;
    if (code === TOKEN_EXPIRED || error?.code === 'token_expired') this.#parts.tokens.expired();
    const unsaid = wasReady ? 'the connection was lost' : 'no node answered: check the URL';
    const why = error?.message ?? (reason || `${unsaid} (${code})`);
    if (shouldReconnect(code) || (code === TOKEN_REVOKED && this.#mayReplace()))
      this.#waitAfter(why, retryAfterMs);
    else this.close(why, code);
  }

  /** Another token is tried once: if that is revoked too, it is the user that is blocked. */
  #mayReplace(): boolean {
    const isFirst = !this.#isReplacement;
    this.#isReplacement = true;
    return isFirst && this.#parts.tokens.revoked();
  }

  #waitAfter(reason: string, retryAfterMs: number | null): void {
    const { environment, timing } = this.#parts;
    const stepMs = Math.min(timing.capMs, timing.baseMs * 2 ** this.#attempt++);
    const factor = environment.page?.isHidden ? HIDDEN_FACTOR : 1;
    // Full jitter: clients that lost the same node come back spread over the whole time. A node that asks spreads them itself.
    const delayMs = retryAfterMs ?? environment.scheduler.random() * stepMs * factor;
    this.#mustWait = retryAfterMs !== null;
    this.#waitFor(delayMs);
    this.#events.waiting(this.#attempt, reason, delayMs);
  }

  #waitFor(delayMs: number): void {
    this.#wait?.cancel();
    this.#wait = this.#parts.environment.scheduler.after(delayMs, () => void this.#retry());
  }

  async #retry(): Promise<void> {
    this.#wait = null;
    await this.#chooseTransport();
    if (!this.#isClosed) await this.#connect();
  }

  /**
   * The fallback is for where WebSockets are blocked, not for where the node is away. Once the fallback has ended, WebSockets are
   * tried again.
   */
  async #chooseTransport(): Promise<void> {
    const { loadFallback, transport, urls } = this.#parts;
    const isOver = this.#transport !== transport;
    this.#transport = transport;
    if (isOver || loadFallback === null || this.#neverOpened < FAILURES_BEFORE_FALLBACK * urls.length) return;
    // It comes from a node, in a page: while that is away it cannot be loaded.
    this.#fallback ??= await loadFallback().catch(() => null);
    const isNeeded = await this.#fallback?.isNeeded?.(urls[this.#nextUrl % urls.length]!);
    if (isNeeded) this.#transport = this.#fallback!;
  }

  #pageChanged(change: PageChange): void {
    if (this.#wait === null) this.#session?.probe();
    else if (change === 'back' && !this.#mustWait) {
      this.#waitFor(this.#parts.environment.scheduler.random() * BACK_MS);
    }
  }
}
