/**
 * The frames of protocol version 1, as TypeScript types. PROTOCOL.md beside this file is the contract.
 *
 * There are two shapes on purpose. The *wire* tuples (`CommandFrame`, `ReplyFrame`, `PushFrame`) are what
 * travels and what a client reads and writes. A `Command` is a command frame that the node has validated:
 * options are spread into fields, and a publish keeps its payload as the MessagePack bytes that will be sent
 * on.
 */
import type { ErrorCode } from './codes.ts';

export const PROTOCOL_VERSION = 1;

/** Where a reader stands in a room: the epoch of the numbering and the last offset seen. */
export type Position = readonly [epoch: string, offset: number];

/** A connection's identity as others see it. */
export interface Member {
  readonly connection: string;
  readonly user: string | null;
  /** What the token says. */
  readonly info?: unknown;
  /** What the member brought itself. */
  readonly data?: unknown;
}

// ---- client to node, on the wire ------------------------------------------------------------------------

export interface JoinOptions {
  readonly since?: Position;
  /**
   * Start after the position that the user has acknowledged in the room. Default false. Not together with
   * `since`.
   */
  readonly resume?: boolean;
  /** At most so many of the newest messages follow. Default: without a position none, else all. */
  readonly last?: number;
  /** Presence data that the member brings. Default: none, or what it has on this connection. */
  readonly data?: unknown;
  /** The result has the members, and the events that follow continue from them. Default false. */
  readonly members?: boolean;
}
export interface PublishOptions {
  /** Idempotency key, at most 64 bytes of UTF-8. */
  readonly key?: string;
  /** `false`: do not deliver to the publishing connection. Default true. */
  readonly echo?: boolean;
  /**
   * `true`: a `signal` to the members who are there now. It is neither stored nor numbered. Default false. Not
   * together with `key`.
   */
  readonly ephemeral?: boolean;
  /**
   * This message takes the place of the publisher's earlier ones with the same key, for members that are behind.
   * At most 64 bytes of UTF-8. Not together with `ephemeral`.
   */
  readonly conflateKey?: string;
}
export interface HistoryOptions {
  readonly since?: Position;
  readonly limit?: number;
}
export interface MembersOptions {
  readonly limit?: number;
  /** The `next` of the page before. */
  readonly after?: string;
}

export type CommandFrame =
  | readonly ['join', id: number, room: string, options?: JoinOptions]
  | readonly ['leave', id: number, room: string]
  | readonly ['publish', id: number, room: string, data: unknown, options?: PublishOptions]
  | readonly ['presence', id: number, room: string, data: unknown]
  | readonly ['members', id: number, room: string, options?: MembersOptions]
  | readonly ['history', id: number, room: string, options?: HistoryOptions]
  | readonly ['ack', id: number, room: string, position: Position]
  | readonly ['auth', id: number, token: string]
  | readonly ['ping', id: number];

export type CommandType = CommandFrame[0];

// ---- client to node, validated --------------------------------------------------------------------------

/** One MessagePack value, checked to be complete and well-formed: safe to copy into a frame unchanged. */
export type PackedValue = Uint8Array;

export interface JoinCommand {
  readonly type: 'join';
  readonly id: number;
  readonly room: string;
  /** Null if `resume` is true. */
  readonly since: Position | null;
  readonly resume: boolean;
  /** Not capped yet. */
  readonly last: number | null;
  /** As in `PublishCommand`, and not measured yet. Null: it brings none. */
  readonly data: PackedValue | null;
  readonly members: boolean;
}
export interface LeaveCommand {
  readonly type: 'leave';
  readonly id: number;
  readonly room: string;
}
export interface PublishCommand {
  readonly type: 'publish';
  readonly id: number;
  readonly room: string;
  /** May be a view of the received buffer: valid only until the caller returns to the event loop. */
  readonly data: PackedValue;
  readonly key: string | null;
  readonly echo: boolean;
  readonly ephemeral: boolean;
  readonly conflateKey: string | null;
}
export interface PresenceCommand {
  readonly type: 'presence';
  readonly id: number;
  readonly room: string;
  /** As in `PublishCommand`, and not measured yet. Null: the member has none any more. */
  readonly data: PackedValue | null;
}
export interface MembersCommand {
  readonly type: 'members';
  readonly id: number;
  readonly room: string;
  readonly limit: number | null;
  readonly after: string | null;
}
export interface HistoryCommand {
  readonly type: 'history';
  readonly id: number;
  readonly room: string;
  readonly since: Position | null;
  readonly limit: number | null;
}
export interface AckCommand {
  readonly type: 'ack';
  readonly id: number;
  readonly room: string;
  readonly position: Position;
}
export interface AuthCommand {
  readonly type: 'auth';
  readonly id: number;
  readonly token: string;
}
export interface PingCommand {
  readonly type: 'ping';
  readonly id: number;
}

export type Command =
  | JoinCommand
  | LeaveCommand
  | PublishCommand
  | PresenceCommand
  | MembersCommand
  | HistoryCommand
  | AckCommand
  | AuthCommand
  | PingCommand;

/**
 * Well-formed bytes that are not a valid command: answered with an `error` frame; the connection stays open.
 */
export interface RejectedCommand {
  readonly type: 'rejected';
  /** The frame's id if it was readable, else 0. */
  readonly id: number;
  readonly code: ErrorCode;
  /** Says what is wrong, in terms of the frame. Never repeats a payload. */
  readonly message: string;
}

/** Bytes that no decoder can read: the connection is closed with 1007. Always the last of a list. */
export interface Undecodable {
  readonly type: 'undecodable';
  readonly reason: string;
}

export type DecodedCommand = Command | RejectedCommand | Undecodable;

/**
 * The commands of one WebSocket message, decoded one at a time: a caller that stops does not pay for the
 * rest.
 */
export interface CommandReader {
  /** The next command; null at the end. Never throws. */
  next(): DecodedCommand | null;
  /** From now on the rest outlives the message's buffer. Returns about how many bytes that takes; 0 at the end. */
  keep(): number;
}

// ---- node to client -------------------------------------------------------------------------------------

export interface HelloInfo {
  readonly connection: string;
  readonly node: string;
  readonly user: string | null;
  readonly heartbeatMs: number;
  /** Maximum bytes of one WebSocket message that the node accepts. */
  readonly maxPayload: number;
  readonly version: typeof PROTOCOL_VERSION;
  // Nodes of before these were added leave them out.
  readonly dedupWindowMs?: number;
  /** After so much silence from the node a client should probe the link. */
  readonly silentAfterMs?: number;
  readonly limits?: HelloLimits;
}
/** What one connection may do; a number of 0 is no limit. */
export interface HelloLimits {
  readonly rooms: number;
  readonly commandsPerSecond: number;
  readonly commandBurst: number;
  readonly bytesPerSecond: number;
  /** Of a `join`, and the `limit` of a `history`. */
  readonly last: number;
  /** Bytes of a member's presence data, as MessagePack. Nodes of before it was added leave it out. */
  readonly presenceBytes?: number;
  /** Bytes of an idempotency key. */
  readonly key: number;
  /** Bytes of a room's name. */
  readonly room: number;
}
export interface JoinResult {
  readonly epoch: string;
  readonly offset: number;
  readonly recovered: boolean;
  /** The offset before the first message that follows; only where the join said `last`. */
  readonly from?: number;
  /** Only where the join asked for them. */
  readonly members?: MembersSnapshot;
  /**
   * The offset that the user has acknowledged in this epoch, null for none; only for users, in rooms that
   * keep acks.
   */
  readonly acked?: number | null;
}
export interface PublishResult {
  readonly epoch: string;
  readonly offset: number;
  readonly duplicate?: true;
}
export interface MembersResult {
  readonly count: number;
  /** Distinct users among all members, without anonymous connections. */
  readonly users: number;
  readonly members: readonly Member[];
  /** Some are not listed. */
  readonly truncated?: true;
  /** The next page starts here: see `MembersOptions.after`. */
  readonly next?: string;
}
/** All members, or (`partial`) none of them because they are too many. */
export interface MembersSnapshot {
  readonly count: number;
  readonly users: number;
  readonly members: readonly Member[];
  readonly partial?: true;
}
export interface HistoryResult {
  readonly epoch: string;
  readonly offset: number;
  readonly messages: readonly MessageFrame[];
}
/** What is stored for the user now, in the room's current epoch; offset 0 if nothing is. */
export interface AckResult {
  readonly epoch: string;
  readonly offset: number;
}
export interface AuthResult {
  readonly user: string | null;
  /** Milliseconds since the Unix epoch, or null for a token that does not expire. */
  readonly expiresAt: number | null;
}
export type EmptyResult = Readonly<Record<string, never>>;
export type Result =
  | JoinResult
  | PublishResult
  | MembersResult
  | HistoryResult
  | AckResult
  | AuthResult
  | EmptyResult;

export interface ErrorDetails {
  readonly retryAfterMs?: number;
  /** The setting of the limit that was reached, such as `limits.commandsPerSecond`. */
  readonly limit?: string;
  readonly [name: string]: unknown;
}

export type OkFrame<R = Result> = readonly ['ok', id: number, result: R];
export type ErrorFrame = readonly [
  'error',
  id: number,
  code: ErrorCode,
  message: string,
  details?: ErrorDetails,
];
export type ReplyFrame = OkFrame | ErrorFrame;

export type HelloFrame = readonly ['hello', info: HelloInfo];
export type MessageFrame = readonly [
  'message',
  room: string,
  offset: number,
  time: number,
  sender: string | null,
  data: unknown,
];
/** A message that is neither stored nor numbered. */
export type SignalFrame = readonly [
  'signal',
  room: string,
  time: number,
  sender: string | null,
  data: unknown,
];
export type MemberFrame = readonly [
  'member',
  room: string,
  change: 'joined' | 'left',
  who: Member | null,
  count: number,
];
/** Someone's data, or what the token says of them, has changed. */
export type PresenceFrame = readonly ['presence', room: string, who: Member];
/** Who is in the room now, in place of all that was said before. */
export type MembersFrame = readonly ['members', room: string, members: MembersSnapshot];
/** Only `expired` is loss. */
export type GapReason = 'expired' | 'forbidden' | 'limited' | 'replaced' | 'skipped';
/** Nodes of before the reason was added leave it out: it is `expired` then. */
export type GapFrame = readonly ['gap', room: string, from: number, to: number, reason?: GapReason];
export type ResetFrame = readonly ['reset', room: string, epoch: string, offset: number];
/** The node made the connection a member: what a `join` would have been answered. */
export type JoinedFrame = readonly ['joined', room: string, result: JoinResult];
export type RemovedFrame = readonly ['removed', room: string, reason: string];
export type ByeFrame = readonly ['bye', code: number, details: { readonly reconnectAfterMs: number }];

export type PushFrame =
  | HelloFrame
  | MessageFrame
  | SignalFrame
  | MemberFrame
  | PresenceFrame
  | MembersFrame
  | GapFrame
  | ResetFrame
  | JoinedFrame
  | RemovedFrame
  | ByeFrame;

export type ServerFrame = ReplyFrame | PushFrame;
