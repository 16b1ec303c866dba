/** How many messages a room keeps, and for how long. `messages: 0` means a room without history. */
export interface HistoryPolicy {
  readonly messages: number;
  readonly ageMs: number;
}
