/**
 * The port between a node and whatever connects the nodes: it numbers, stores and carries messages.
 * `memory/` is the whole broker in one process; `redis/` connects many. One conformance suite runs over both.
 */
import type { Acks } from './acks.ts';
import type { Denials } from './denials.ts';
import type { Envelope } from './envelope.ts';
import type { HistoryPolicy } from './history-policy.ts';
import type { Presence } from './presence.ts';

export interface PublishRequest {
  readonly room: string;
  readonly history: HistoryPolicy;
  /**
   * A finished `message` frame without its offset: nine bytes at `offsetAt`, 0xcf and a uint64 of zero. Or, with
   * `offsetAt` 0, a finished `signal` frame: its `history` keeps nothing, and it has no key.
   */
  readonly frame: Uint8Array;
  readonly offsetAt: number;
  /** Idempotency key with its scope (see `node/key-scope.ts`), or null. */
  readonly key: string | null;
  /** Number of the local connection that must not get its own message; 0 for none. */
  readonly exclude: number;
  /**
   * Eight bytes that messages share of which only the newest matters to who is behind; null or left out for a message
   * that stands for itself. They go into the envelope.
   */
  readonly conflation?: Uint8Array | null;
  /**
   * Called exactly once, never before `publish` returns. `error` null: the message has this position and is
   * stored and sent (or, with `duplicate`, was already). In a room without history `epoch` is '' and `offset`
   * 0.
   */
  settled(error: BackplaneError | null, epoch: string, offset: number, duplicate: boolean): void;
}

/**
 * How long a room keeps a numbering that a join started, while nothing was ever published in it and no node
 * has members of it. Long enough for a client that reloads or a node that is cut off; short, since anyone can
 * join rooms with invented names.
 */
export const EMPTY_META_TTL_MS = 5 * 60_000;

/** Messages of a room after some offset, oldest first, and the room's current position: one atomic view. */
export interface HistoryPage {
  /** '' for a room without numbering. */
  readonly epoch: string;
  /** Offset of the room's newest message, 0 if there never was one. */
  readonly offset: number;
  /**
   * Contiguous. The first may start at or before the requested offset (an envelope is never cut), or after
   * the next one if older messages are gone. Empty if none are stored or the limit is 0.
   */
  readonly envelopes: readonly Envelope[];
}

export type RoomPosition = Pick<HistoryPage, 'epoch' | 'offset'>;

/** What a room without history keeps: the newest message of each conflation id. One atomic view. */
export interface NewestPage {
  /** Of the room: see `Envelope.mark`. 0 if there never was one. */
  readonly mark: number;
  /** Oldest first. */
  readonly messages: readonly {
    /** As `Envelope.conflation` gives it. */
    readonly id: string;
    /** Where it stands: see `Envelope.mark`. */
    readonly mark: number;
    /** A whole frame. */
    readonly frame: Buffer;
    readonly ageMs: number;
  }[];
}

export interface ReadOptions {
  /** Only messages with a higher offset. Default 0: from the oldest stored one. */
  readonly after?: number;
  /** About the maximum number of messages, rounded up to whole envelopes; 0 asks for only the position. */
  readonly limit: number;
  /** The newest messages instead of the oldest, if there are more than `limit` or `bytes`. Default false. */
  readonly newest?: boolean;
  /** Maximum bytes of envelopes; one is read however large it is. Default: no limit. */
  readonly bytes?: number;
  /**
   * Gives a room without numbering an epoch, and keeps that alive while nothing is published. For nodes with
   * members of the room; others only read, and leave nothing behind. Default false.
   */
  readonly begin?: boolean;
}

/** What something belongs to: a room, or null for what is of the whole cluster, such as signals and denials. */
export type Place = string | null;

/** What a backplane tells its node. Handlers MUST NOT throw. */
export interface BackplaneEvents {
  /**
   * An envelope of a subscribed room arrived. It is a view of one socket read: to keep it beyond the turn,
   * copy it. In rooms with history envelopes arrive in the order of offsets, but after a lost link some may
   * be missing. Signals arrive among the messages, in the order in which they were taken for publication, and
   * say after which message they were sent.
   */
  envelope(room: string, envelope: Envelope): void;
  /**
   * Envelopes and signals may have been missed. Called after re-subscription. With `has`, only those of the
   * places that it says yes to: others were heard without a break. It is asked before this returns.
   */
  resumed(has?: (place: Place) => boolean): void;
  /** A node, perhaps this one, sent this to all nodes. At most once; never called before `signal` returns. */
  signal(text: string): void;
}

export interface BackplaneStatus {
  readonly ready: boolean;
  /** What is wrong, for people; null when ready. */
  readonly reason: string | null;
  /** Parts of the store that are away while the node is ready all the same, and why. */
  readonly degraded?: readonly string[];
}

export interface Backplane {
  /**
   * Who is in which room. Started after the backplane and closed before it; `close` alone looks like a crash.
   */
  readonly presence: Presence;
  /** How far users have read. Usable from the start of the backplane to its end. */
  readonly acks: Acks;
  /** Who is kept out of what. Usable from the start of the backplane to its end. */
  readonly denials: Denials;
  /** Maximum concurrent reads for clients per node; further ones wait. At least 1. */
  readonly readsAtOnce: number;
  /** Resolves when usable. Rejects with a `BackplaneError` that says what to do. Called once. */
  start(events: BackplaneEvents): Promise<void>;
  /**
   * Takes a message for publication. Never throws, never blocks, and is bounded: when too much waits, the
   * request is settled with `unavailable`. Requests for one room are stored in the order of the calls.
   */
  publish(request: PublishRequest): void;
  /** Resolves when envelopes of the room published from now on will arrive. Repeating it is harmless. */
  subscribe(room: string): Promise<void>;
  /** Stops envelopes of the room. Late ones may still arrive for a moment. */
  unsubscribe(room: string): void;
  /**
   * Subscribes again to a room that is subscribed but receives nothing. Envelopes may be missed in between.
   */
  resubscribe(room: string): Promise<void>;
  /** How many nodes are subscribed to a room now. */
  subscribers(room: string): Promise<number>;
  /** Position and messages of a room. */
  read(room: string, history: HistoryPolicy, options: ReadOptions): Promise<HistoryPage>;
  /**
   * The newest messages of a room without history, one for each conflation id. A backplane without it keeps none, and
   * members get none when they join or come back.
   */
  readNewest?(room: string, history: HistoryPolicy): Promise<NewestPage>;
  /**
   * Resolves when the envelopes of a subscribed room that were published before the call have arrived, except those that are lost.
   * A backplane without it hands them over before it answers a read.
   */
  heard?(room: string): Promise<void>;
  /**
   * The store is behind `seen`, an offset given out in this epoch: it lost writes. Starts a new epoch that
   * keeps what survived, unless the room has moved on (another epoch, or an offset of at least `seen`).
   * Atomic, so that one of several nodes does it.
   */
  renewEpoch(room: string, history: HistoryPolicy, epoch: string, seen: number): Promise<void>;
  /**
   * Drops all messages of a room, which gets a new epoch in which its offsets go on. Resolves with the room's
   * position; epoch '' for a room without numbering, which stays without. Atomic.
   */
  clearHistory(room: string, history: HistoryPolicy): Promise<RoomPosition>;
  /**
   * Sends a text to all nodes, including this one. Resolves when it is sent: a node that is cut off at this
   * moment never gets it. Rejects with `BackplaneError` while this node cannot send it or would not receive
   * it.
   */
  signal(text: string): Promise<void>;
  status(): BackplaneStatus;
  /** Settles what waits, frees timers and links. May be called twice. */
  close(): Promise<void>;
}

/**
 * `unavailable`: nothing was stored. `timeout`: not known. `internal`: the backplane answered with an error.
 */
export type BackplaneErrorCode = 'unavailable' | 'timeout' | 'internal';

export class BackplaneError extends Error {
  override readonly name = 'BackplaneError';
  readonly code: BackplaneErrorCode;
  /** The operation: `connect`, `publish`, `read`, `subscribe`, `presence`, `acks`, `denials`, `signal`. */
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

/** Why a closing node does nothing more. */
export const SHUTTING_DOWN = 'the node is shutting down';
