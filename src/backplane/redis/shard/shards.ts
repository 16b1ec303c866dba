/** All of the servers that a node works with, as one: a single Redis or many. */
import type { BackplaneStatus, Place, PublishRequest } from '../../backplane.ts';
import type { Envelope } from '../../envelope.ts';
import type { PresenceChange } from '../../presence.ts';
import type { ShardCalls } from '../link/shard-calls.ts';

/** What shards tell. Handlers MUST NOT throw. */
export interface ShardsEvents {
  envelope(room: string, envelope: Envelope): void;
  presence(room: string, changes: readonly PresenceChange[]): void;
  signal(text: string): void;
  /** As in `BackplaneEvents`. */
  resumed(has?: (place: Place) => boolean): void;
  /** A link came up or went down, or a room can be reached again: what was put off may go on. */
  changed(): void;
}

/** Methods that return a promise reject with a `BackplaneError`. */
export interface Shards extends ShardCalls {
  /** Resolves when usable; rejects with what to do. Called once. */
  start(): Promise<void>;
  /** As in `Backplane`. */
  publish(request: PublishRequest): void;
  /** Sends a text to all nodes. Rejects while this node would not hear it itself. */
  signal(text: string): Promise<void>;
  /** As in `Backplane`. */
  subscribe(room: string): Promise<void>;
  resubscribe(room: string): Promise<void>;
  unsubscribe(room: string): void;
  subscribers(room: string): Promise<number>;
  /** Resolves when what was published in the room before the call has arrived. */
  heard(room: string): Promise<void>;
  /** Why the place cannot be called now, or null. */
  problem(place: Place): string | null;
  status(): BackplaneStatus;
  /** Nothing more is asked, and nothing looks at the links any more. */
  stop(): void;
  /** Settles what waits and closes the links. */
  close(): void;
}
