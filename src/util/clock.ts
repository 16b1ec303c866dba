/** Time, passed in, so that tests need not wait. */
export interface Clock {
  /** Milliseconds since the Unix epoch. May jump; use it for `time` fields only. */
  wallMs(): number;
  /** Milliseconds since a fixed moment, with fractions. Never goes back. */
  nowMs(): number;
  /** Milliseconds of CPU that the process has taken so far. Absent where only the clock decides: then it takes none. */
  cpuMs?(): number;
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  nowMs: () => performance.now(),
  cpuMs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
};
