/** What the commands of a connection need from its node, once permitted. `node/` implements it. */
import type { ErrorCode } from '../protocol/codes.ts';
import type {
  ErrorDetails,
  JoinCommand,
  MembersCommand,
  PackedValue,
  Position,
  PublishCommand,
  Result,
} from '../protocol/frames.ts';
import type { Connection } from './connection.ts';

/** One command that waits for its reply. Exactly one of the methods is called, once. */
export interface Request {
  readonly connection: Connection;
  ok(result: Result): void;
  /**
   * The reply to a history request, from a run of stored `message` frames in MessagePack.
   *
   * @throws {FrameError} if they are anything else; nothing is replied then.
   */
  okHistory(epoch: string, offset: number, frames: Uint8Array): void;
  fail(code: ErrorCode, message: string, details?: ErrorDetails): void;
}

/**
 * Where a member asks to begin (`resume`: after what its user has acknowledged, where that is kept), what it brings, and whether it
 * asks for the members.
 */
export type JoinWish = Pick<JoinCommand, 'since' | 'resume' | 'last' | 'data' | 'members'>;
/** Which page of a list of members. `limit` null: the largest. */
export type MembersPageWish = Pick<MembersCommand, 'limit' | 'after'>;

export interface RoomServices {
  /** Makes the connection a member; the reply is queued before any message of the room. */
  join(request: Request, room: string, wish: JoinWish): void;
  leave(request: Request, room: string): void;
  /** Takes the payload's bytes before it returns. The reply has the message's position. */
  publish(connection: Connection, command: PublishCommand): void;
  history(request: Request, room: string, since: Position | null, limit: number | null): void;
  /** Sets the presence data of a member; null removes it. Takes the bytes before it returns. */
  presence(request: Request, room: string, data: PackedValue | null): void;
  members(request: Request, room: string, page: MembersPageWish): void;
  /** Records that the connection's user has processed everything in the room up to this position. */
  ack(request: Request, user: string, room: string, position: Position): void;
}
