/** What rooms ask of their client, and the settings of it. */
import type { AckResult, Position, PublishResult } from '../protocol/frames.ts';
import type { Snapshot } from './member-list.ts';
import type { Message } from './room-events.ts';

export interface PublishSettings {
  /** Idempotency key of at most 64 bytes. Default: a random one, so that a retry is stored once. */
  readonly key?: string;
  /** `false`: this connection does not get it. Default true. */
  readonly echo?: boolean;
  /** A reader that is behind gets only the newest message of each such key of yours. */
  readonly conflateKey?: string;
  /** Gives up. What was sent already settles as unknown. */
  readonly abort?: AbortSignal;
}

export interface SignalSettings {
  /** `true`: to this connection too. Default false. */
  readonly echo?: boolean;
}

/** `dropped`: there is no connection, or it cannot keep up. Signals are not kept, and not sent later. */
export type SignalOutcome = 'sent' | 'dropped';

export interface RequestSettings {
  /** Gives up waiting: for a connection, or for the answer. */
  readonly abort?: AbortSignal;
}

export interface HistorySettings extends RequestSettings {
  /** The oldest messages after this position. Default: the newest messages. */
  readonly since?: Position;
  readonly limit?: number;
}

/** Without these it is the first page. */
export interface MembersSettings extends RequestSettings {
  /** Members of one page. */
  readonly limit?: number;
  /** The `next` of the page before. */
  readonly after?: string;
}

export interface HistoryPage<T = unknown> {
  /** Where the room stands. */
  readonly position: Position;
  readonly messages: readonly Message<T>[];
}

export interface RoomServices {
  publish(room: string, data: unknown, settings?: PublishSettings): Promise<PublishResult>;
  signal(room: string, data: unknown, echo?: boolean): SignalOutcome;
  history(room: string, settings?: HistorySettings): Promise<HistoryPage>;
  listMembers(room: string, settings?: MembersSettings): Promise<Snapshot>;
  ack(room: string, position: Position, settings?: RequestSettings): Promise<AckResult>;
}
