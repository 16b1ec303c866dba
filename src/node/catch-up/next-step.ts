/**
 * What a cursor does next, decided from its position and its room's. A cursor aims for the position of its
 * room's topic: what the feed has beyond that is pending, and comes with the topic at the end of the turn.
 */

export interface CursorState {
  readonly epoch: string;
  readonly offset: number;
  readonly isFresh: boolean;
  /** Its join was answered, or it has none. */
  readonly hasBegun: boolean;
  readonly isConflating: boolean;
  readonly isLeaving: boolean;
}

export interface FeedPosition {
  readonly keepsHistory: boolean;
  /** The feed's position. */
  readonly epoch: string;
  readonly offset: number;
  /** The topic's position: behind the feed by what is pending. */
  readonly sentEpoch: string;
  readonly sentOffset: number;
}

/**
 * - `leave`: close the connection.
 * - `next turn`: pending messages must leave first.
 * - `begin`: it has no position and takes the topic's.
 * - `go live`: it is at the topic's position, and moves to the topic.
 * - `skip`: skip all but the newest message, and report the rest as a gap.
 * - `feed`: the node has the missing messages in memory.
 * - `read`: read them from history.
 * - `reach`: it is ahead of the feed, or the store lost what it had.
 * - `adopt`: it is before the first message of some epoch, and takes the current one.
 * - `restart`: its numbering has ended.
 */
export type Step =
  | 'leave'
  | 'next turn'
  | 'begin'
  | 'go live'
  | 'skip'
  | 'feed'
  | 'read'
  | 'reach'
  | 'adopt'
  | 'restart';

/** `remembered`: offset of the oldest message in the node's memory, null if there is none. */
export function nextStep(cursor: CursorState, feed: FeedPosition, remembered: number | null): Step {
  if (cursor.isLeaving) return 'leave';
  // A reset is pending: a client must not hear of two epochs at once.
  if (feed.sentEpoch !== feed.epoch) return 'next turn';
  if (cursor.isFresh || !feed.keepsHistory) return 'begin';
  // A client without any message has missed nothing of another epoch: offset 0 is the start of whatever the
  // room has now.
  if (cursor.epoch !== feed.epoch) return cursor.offset === 0 && !cursor.hasBegun ? 'adopt' : 'restart';
  if (cursor.offset === feed.sentOffset) return 'go live';
  if (cursor.offset > feed.offset) return 'reach';
  if (cursor.offset > feed.sentOffset) return 'next turn';
  if (cursor.isConflating && cursor.offset < feed.sentOffset - 1) return 'skip';
  return remembered !== null && cursor.offset >= remembered - 1 ? 'feed' : 'read';
}
