import type { RoomAccess } from '../../auth/authorize.ts';
import type { HistoryPolicy } from '../../backplane/backplane.ts';

/** What the configuration says about a room: the first rule whose pattern matches it, filled up with defaults. */
export interface RoomRule extends RoomAccess {
  readonly history: HistoryPolicy;
  readonly presence: boolean;
  readonly memberEvents: boolean;
  /** Whether it is kept how far each user has read. */
  readonly acks: boolean;
  readonly slowReaders: 'resume' | 'latest' | 'disconnect';
}
