/** Everything that a client can be told, with what it does by default. */
import type { Position } from '../protocol/frames.ts';
import type { ClientCodec } from './codec.ts';
import type { ReconnectTiming } from './connector.ts';
import type { Environment, WebSocketConstructor } from './environment.ts';
import type { FrameLog } from './inspector.ts';
import type { PublishQueue, QueueLimits } from './publish-queue.ts';
import type { GetToken } from './tokens.ts';
import type { Transport } from './transport.ts';

export interface ClientOptions {
  /** A token that does not change. For tokens that expire pass `getToken`. */
  readonly token?: string;
  /**
   * Returns a token: for the first connection, in good time before one expires, and when a node says that one has expired. Never
   * called twice at once. Throw `Unauthorized` when the user has no access: the client closes. Any other error is tried again.
   */
  readonly getToken?: GetToken;
  /** How many publishes may wait or be on their way. Default 1,000 messages and 1 MiB. */
  readonly queue?: Partial<QueueLimits>;
  /** Between connections: full-jitter backoff. Default 500 ms, doubled up to 20 s. Hidden pages wait up to three times as long. */
  readonly reconnect?: { readonly baseMs?: number; readonly capMs?: number };
  /** From opening a link until it may be used. Default 10 s. */
  readonly connectTimeoutMs?: number;
  /** How long a node may take to answer when the client asks whether it is still there. Default 5 s. */
  readonly probeTimeoutMs?: number;
  /** Told what no promise tells: a listener that threw, an error that answers no request. Default `console.error`. */
  readonly onError?: (error: unknown) => void;
  /** Keeps the queue and the positions over a reload: see `roomcast-client/storage`. */
  readonly storage?: ClientStorage;
  /** In place of the global one. */
  readonly WebSocket?: WebSocketConstructor;
  /** Clock, timers and chance in place of those of the machine, such as the clock of `roomcast/testing`. */
  readonly scheduler?: Environment['scheduler'];
  /** `false`: WebSockets alone, also where they cannot be opened. Default true. */
  readonly fallback?: boolean;
  /** Logs every frame: `true` to the console. */
  readonly debug?: boolean | FrameLog;
  /** Frames that `inspect()` returns. Default 100. */
  readonly inspectFrames?: number;
  /** Replaces sockets or page, for tests. */
  readonly environment?: Partial<Environment>;
}

/** What differs between the entries of the package. */
export interface Build {
  readonly codec: ClientCodec;
  /** Where there is no global WebSocket. */
  readonly findWebSocket?: () => Promise<WebSocketConstructor>;
  /** What to use where WebSockets cannot be opened. */
  readonly loadFallback?: (environment: Environment, codec: ClientCodec) => Promise<Transport>;
}

export interface StorageParts {
  readonly environment: Environment;
  readonly codec: ClientCodec;
  readonly queue: PublishQueue;
  readonly positions: () => Iterable<readonly [room: string, position: Position | null]>;
  readonly onError: (error: unknown) => void;
}

/** What a client keeps over a reload. */
export interface KeptState {
  /** Settles when what was kept is there, and never rejects. The client connects after that. */
  readonly loaded: Promise<void>;
  /** Where the room stood. Undefined: not known. */
  positionOf(room: string): Position | undefined;
  /** Something that is kept has changed. */
  changed(): void;
  /** The room was left there. */
  left(room: string, position: Position | null): void;
  close(): void;
}

export type ClientStorage = (parts: StorageParts) => KeptState;

const QUEUE: QueueLimits = { messages: 1_000, bytes: 1024 * 1024 };
const RECONNECT = { baseMs: 500, capMs: 20_000 };

export interface Settings extends ClientOptions {
  readonly inspectFrames: number;
  readonly queue: QueueLimits;
  readonly timing: ReconnectTiming;
}

/** The options, with what holds by default. */
export function withDefaults(options: ClientOptions): Settings {
  const { connectTimeoutMs = 10_000, probeTimeoutMs = 5_000, inspectFrames = 100 } = options;
  const timing = { ...filled(RECONNECT, options.reconnect), connectTimeoutMs, probeTimeoutMs };
  return { ...options, inspectFrames, timing, queue: filled(QUEUE, options.queue) };
}

/** Options that were passed as undefined count as left out. */
function filled<T extends object>(
  defaults: T,
  given: { readonly [K in keyof T]?: T[K] | undefined } = {},
): T {
  const filled = { ...defaults, ...given };
  for (const name in defaults) filled[name] ??= defaults[name];
  return filled;
}

/**
 * The WebSocket URL that is meant: `https://host` is `wss://host/ws`; in a page, a path is one of the page's host. Throws a
 * TypeError for anything else, without the URL's query, which may hold a token.
 */
export function webSocketUrl(given: string): string {
  const base = globalThis.location?.href;
  if (URL.canParse(given, base)) {
    const url = new URL(given, base);
    url.protocol = url.protocol.replace('http', 'ws');
    if (url.pathname === '/') url.pathname = '/ws';
    url.hash = '';
    if (url.protocol.startsWith('ws')) return url.href;
  }
  throw new TypeError(
    `not a WebSocket URL: "${String(given).split('?')[0]}"; pass one such as wss://example.com/ws`,
  );
}
