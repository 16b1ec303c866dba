/** How many messages a room keeps, and for how long. `messages: 0` means a room without history. */
export interface HistoryPolicy {
  readonly messages: number;
  readonly ageMs: number;
}

/** Of what is not stored at all. */
export const KEEPS_NOTHING: HistoryPolicy = { messages: 0, ageMs: 0 };
