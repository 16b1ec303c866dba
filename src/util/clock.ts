/** Time, passed in, so that tests need not wait. */
export interface Clock {
  /** Milliseconds since the Unix epoch. May jump; use it for `time` fields only. */
  wallMs(): number;
  /** Milliseconds since a fixed moment, with fractions. Never goes back. */
  nowMs(): number;
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  nowMs: () => performance.now(),
};
