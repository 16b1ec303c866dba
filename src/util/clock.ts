/** Time, handed in, so that decisions can be tested without waiting. */
export interface Clock {
  /** Milliseconds since the Unix epoch. May jump; use it for `time` fields only. */
  wallMs(): number;
  /** Milliseconds since some fixed moment, with fractions. Never goes back. */
  nowMs(): number;
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  nowMs: () => performance.now(),
};
