/**
 * What limits a room's history; whichever limit is reached first counts. `messages: 0` means a room without
 * history.
 */
export interface HistoryPolicy {
  readonly messages: number;
  readonly ageMs: number;
  /** About how many bytes of the store; 0 or absent: no limit. The newest envelope is kept whatever its size. */
  readonly bytes?: number;
}

/** Of what is not stored at all. */
export const KEEPS_NOTHING: HistoryPolicy = { messages: 0, ageMs: 0 };
