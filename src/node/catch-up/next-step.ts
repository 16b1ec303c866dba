/**
 * What a cursor does next, decided from its position and its room's. A cursor aims for the position of its
 * room's topic: what the feed has beyond that is pending, and comes with the topic at the end of the turn.
 */

export interface CursorState {
  readonly epoch: string;
  readonly offset: number;
  readonly isFresh: boolean;
  /** Its position is its user's start, which the room's present epoch has: where it is another one, the feed is behind. */
  readonly isKept: boolean;
  /** Its join was answered, or it has none. */
  readonly hasBegun: boolean;
  readonly isConflating: boolean;
  readonly isLeaving: boolean;
  readonly isCut: boolean;
  /** It is to lack so many messages at most when it begins; null: any number. */
  readonly last: number | null;
  /** In a room without history: see `NewestPerKey`. */
  readonly mark: number;
}

export interface FeedPosition {
  readonly keepsHistory: boolean;
  /** Messages that history keeps at most. */
  readonly keptMessages: number;
  /** The feed's position. */
  readonly epoch: string;
  readonly offset: number;
  /** The topic's position: behind the feed by what is pending. */
  readonly sentEpoch: string;
  readonly sentOffset: number;
  /** Of a room without history. */
  readonly sentMark: number;
}

/**
 * - `leave`: the connection is to end.
 * - `next turn`: what is pending has to leave first.
 * - `begin`: it has no position, and takes that of the topic.
 * - `newest`: the room keeps no history; it lacks the newest messages of some keys.
 * - `enter`: it has no position, and takes that before the newest messages; the node remembers these.
 * - `limit`: it lacks more than it asked for, and the node knows what of that can still be had.
 * - `go live`: it stands where the topic does, and moves to it.
 * - `cut`: it may not have what it lacks; all of it is named as a gap.
 * - `skip`: all but the newest message is passed over, and named as a gap.
 * - `feed`: the node remembers what it lacks.
 * - `read`: history has to be read.
 * - `reach`: it is ahead of the feed, or the store lost what it had.
 * - `adopt`: it is before the first message of some epoch, and takes the current one.
 * - `restart`: its numbering has ended.
 */
export type Step =
  | 'leave'
  | 'next turn'
  | 'begin'
  | 'newest'
  | 'enter'
  | 'limit'
  | 'go live'
  | 'cut'
  | 'skip'
  | 'feed'
  | 'read'
  | 'reach'
  | 'adopt'
  | 'restart';

/** What the node knows of a room's older messages. */
export interface Memory {
  /** Offset of the oldest message that the node remembers, null where there is none. */
  readonly remembered: number | null;
  /** Up to this offset nobody has the messages any more. */
  readonly goneUpTo: number;
  /** How many messages newer ones have replaced, among those that make up the cursor's newest. */
  readonly replaced: number;
}

export function nextStep(cursor: CursorState, feed: FeedPosition, memory: Memory): Step {
  if (cursor.isLeaving) return 'leave';
  // A reset is pending: a client must not hear of two epochs at once.
  if (feed.sentEpoch !== feed.epoch) return 'next turn';
  if (!feed.keepsHistory) return cursor.mark < feed.sentMark ? 'newest' : 'begin';
  const { remembered, goneUpTo, replaced } = memory;
  const isRemembered = (offset: number) => remembered !== null && offset >= remembered - 1;
  if (cursor.isFresh) {
    const start = startOfNewest(cursor, feed, memory);
    if (start === feed.sentOffset) return 'begin';
    return isRemembered(start) ? 'enter' : 'read';
  }
  if (cursor.epoch !== feed.epoch) return mayAdopt(cursor) ? 'adopt' : 'restart';
  if (cursor.offset === feed.sentOffset) return 'go live';
  if (cursor.offset > feed.offset) return 'reach';
  if (cursor.offset > feed.sentOffset) return 'next turn';
  if (cursor.isCut) return 'cut';
  if (cursor.isConflating && cursor.offset < feed.sentOffset - 1) return 'skip';
  if (!lacksTooMuch(cursor, feed, replaced)) return isRemembered(cursor.offset) ? 'feed' : 'read';
  const oldest = remembered ?? feed.sentOffset + 1;
  return Math.max(cursor.offset, goneUpTo) >= oldest - 1 ? 'limit' : 'read';
}

/** A client without any message has missed nothing of another epoch: offset 0 is the start of whatever the room has now. */
function mayAdopt({ offset, hasBegun, isKept }: CursorState): boolean {
  return offset === 0 && !hasBegun && !isKept;
}

/**
 * The offset after which a cursor without a position begins: before the newest messages that it asked for and that
 * may be there. Those that are replaced do not count.
 */
export function startOfNewest(
  { last }: Pick<CursorState, 'last'>,
  { sentOffset, keptMessages }: Pick<FeedPosition, 'sentOffset' | 'keptMessages'>,
  { goneUpTo, replaced }: Pick<Memory, 'goneUpTo' | 'replaced'>,
): number {
  const wanted = Math.min((last ?? 0) + replaced, keptMessages);
  return Math.min(sentOffset, Math.max(sentOffset - wanted, goneUpTo, 0));
}

/** Whether a cursor that has yet to begin is further behind than it wants to be. */
export function lacksTooMuch(
  { last, hasBegun, offset }: Pick<CursorState, 'last' | 'hasBegun' | 'offset'>,
  { sentOffset }: Pick<FeedPosition, 'sentOffset'>,
  replaced: number,
): boolean {
  return last !== null && !hasBegun && offset < sentOffset - last - replaced;
}
