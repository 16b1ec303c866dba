/**
 * The port between a node and what joins the nodes: something that numbers, stores and carries messages.
 * `memory/` is the whole broker in one process; `redis/` joins many. One conformance suite runs over both.
 */
import type { Acks } from './acks.ts';
import type { Envelope } from './envelope.ts';
import type { HistoryPolicy } from './history-policy.ts';
import type { Presence } from './presence.ts';

export interface PublishRequest {
  readonly room: string;
  readonly history: HistoryPolicy;
  /** A finished `message` frame but for its offset: nine bytes at `offsetAt`, 0xcf and a uint64 of zero. */
  readonly frame: Uint8Array;
  readonly offsetAt: number;
  /** Idempotency key with its scope (see `node/key-scope.ts`), or null. */
  readonly key: string | null;
  /** Number of the local connection that is not to get its own message; 0 for none. */
  readonly exclude: number;
  /**
   * Called exactly once, never before `publish` returns. `error` null: the message has this position and is stored
   * and sent (or, `duplicate`, was so before). In a room without history `epoch` is '' and `offset` 0.
   */
  settled(error: BackplaneError | null, epoch: string, offset: number, duplicate: boolean): void;
}

/**
 * How long a room keeps the numbering that a join began, while nothing was ever published in it and no node has members of it.
 * Long enough for a client that reloads or a node that is cut off; short, since anyone can join rooms of invented names.
 */
export const EMPTY_META_TTL_MS = 5 * 60_000;

/** Messages of a room after some offset, oldest first, and where the room stands now: one atomic view. */
export interface HistoryPage {
  /** '' for a room without numbering. */
  readonly epoch: string;
  /** Offset of the room's newest message, 0 if there never was one. */
  readonly offset: number;
  /**
   * Contiguous. The first may begin at or before the offset asked for (an envelope is never cut), or after the next one
   * where older messages are gone. Empty where none are kept or the limit is 0.
   */
  readonly envelopes: readonly Envelope[];
}

export interface ReadOptions {
  /** Only messages with a higher offset. Default 0: from the oldest that is kept. */
  readonly after?: number;
  /** At most about this many messages, rounded up to whole envelopes; 0 asks for the position alone. */
  readonly limit: number;
  /** The newest messages, where there are more than `limit` or `bytes`, in place of the oldest. Default false. */
  readonly newest?: boolean;
  /** Most bytes of envelopes; one is read however large it is. Default: no limit. */
  readonly bytes?: number;
  /**
   * Gives a room without numbering an epoch, and keeps that alive while nothing is published. For those who have members of
   * the room; others only look, and leave nothing behind. Default false.
   */
  readonly begin?: boolean;
}

/** What a backplane tells its node. Handlers MUST NOT throw. */
export interface BackplaneEvents {
  /**
   * An envelope of a subscribed room arrived. It is a view of all that one read brought: who keeps it beyond the turn keeps a copy. In rooms with
   * history they arrive in the order of offsets, but after a lost link some may be missing.
   */
  envelope(room: string, envelope: Envelope): void;
  /** Envelopes may have been missed: every subscribed room is to be checked. Called after re-subscription. */
  resumed(): void;
  /** A node, perhaps this one, sent this to all nodes. At most once; never called before `signal` returns. */
  signal(text: string): void;
}

export interface BackplaneStatus {
  readonly ready: boolean;
  /** What is wrong, for people; null when ready. */
  readonly reason: string | null;
}

export interface Backplane {
  /** Who is in which room. It is started after the backplane and closed before it; `close` alone looks like a crash. */
  readonly presence: Presence;
  /** How far users have read. Usable from the start of the backplane to its end. */
  readonly acks: Acks;
  /** Reads on behalf of clients that a node has under way at one time; further ones wait. At least 1. */
  readonly readsAtOnce: number;
  /** Resolves when usable. Rejects with a `BackplaneError` that says what to do. Called once. */
  start(events: BackplaneEvents): Promise<void>;
  /**
   * Takes a message for publication. Never throws, never blocks, bounded: when too much waits, the request is
   * settled with `unavailable`. Requests for one room are stored in the order of the calls.
   */
  publish(request: PublishRequest): void;
  /** Resolves when envelopes of the room published from now on will arrive. Repeating it is harmless. */
  subscribe(room: string): Promise<void>;
  /** Stops envelopes of the room. Late ones may still arrive for a moment. */
  unsubscribe(room: string): void;
  /** Subscribes a room anew that is subscribed and hears nothing. Envelopes may be missed meanwhile. */
  resubscribe(room: string): Promise<void>;
  /** Position and messages of a room. */
  read(room: string, history: HistoryPolicy, options: ReadOptions): Promise<HistoryPage>;
  /**
   * The store is behind `seen`, an offset that was given out in this epoch: it lost writes. Starts a new epoch that keeps
   * what survived, unless the room moved on meanwhile (another epoch, or an offset of at least `seen`). Atomic, so that of
   * several nodes that notice one does it.
   */
  renewEpoch(room: string, history: HistoryPolicy, epoch: string, seen: number): Promise<void>;
  /**
   * Sends a text to all nodes, this one included. Resolves when it is sent: a node that is cut off from the others at this
   * moment never gets it. Rejects with `BackplaneError` while this node could not send it or would not hear it.
   */
  signal(text: string): Promise<void>;
  status(): BackplaneStatus;
  /** Settles what waits, frees timers and links. May be called twice. */
  close(): Promise<void>;
}

/** `unavailable`: nothing was stored. `timeout`: not known. `internal`: the backplane answered with an error. */
export type BackplaneErrorCode = 'unavailable' | 'timeout' | 'internal';

export class BackplaneError extends Error {
  override readonly name = 'BackplaneError';
  readonly code: BackplaneErrorCode;
  /** What was being done: `connect`, `publish`, `read`, `subscribe`, `presence`, `acks`, `signal`. */
  readonly stage: string;

  constructor(code: BackplaneErrorCode, stage: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.stage = stage;
  }
}

/** Nothing was stored, and trying again may help. */
export function unavailable(stage: string, reason: string, options?: ErrorOptions): BackplaneError {
  return new BackplaneError('unavailable', stage, reason, options);
}

/** Why a node that is closing does nothing more. */
export const SHUTTING_DOWN = 'the node is shutting down';
