/**
 * What a cursor does next, decided from where it stands and where its room does. A cursor is to come to where its room's topic
 * stands: what the feed has beyond that is pending, and comes with the topic at the end of the turn.
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
  /** Where the feed stands. */
  readonly epoch: string;
  readonly offset: number;
  /** Where the topic stands: behind the feed by what is pending. */
  readonly sentEpoch: string;
  readonly sentOffset: number;
}

/**
 * - `leave`: the connection is to end.
 * - `next turn`: what is pending has to leave first.
 * - `begin`: it has no position; it takes that of the topic.
 * - `go live`: it stands where the topic does, and moves to it.
 * - `skip`: all but the newest message is passed over, and named as a gap.
 * - `feed`: the node remembers what it lacks.
 * - `read`: history has to be read.
 * - `reach`: it is ahead of the feed, or the store lost what it had.
 * - `adopt`: it stands before the first message of whatever epoch, and takes the present one.
 * - `restart`: its numbering is over.
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

/** `remembered`: offset of the oldest message that the node remembers, null where there is none. */
export function nextStep(cursor: CursorState, feed: FeedPosition, remembered: number | null): Step {
  if (cursor.isLeaving) return 'leave';
  // A reset is pending: nobody may be told of two epochs at once.
  if (feed.sentEpoch !== feed.epoch) return 'next turn';
  if (cursor.isFresh || !feed.keepsHistory) return 'begin';
  // Whoever has had no message has missed no other epoch's: offset 0 is the beginning of whatever the room has now.
  if (cursor.epoch !== feed.epoch) return cursor.offset === 0 && !cursor.hasBegun ? 'adopt' : 'restart';
  if (cursor.offset === feed.sentOffset) return 'go live';
  if (cursor.offset > feed.offset) return 'reach';
  if (cursor.offset > feed.sentOffset) return 'next turn';
  if (cursor.isConflating && cursor.offset < feed.sentOffset - 1) return 'skip';
  return remembered !== null && cursor.offset >= remembered - 1 ? 'feed' : 'read';
}
