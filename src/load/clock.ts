const baseUs = Number(process.hrtime.bigint() / 1000n) - performance.now() * 1000;

/** Microseconds on the machine's monotonic clock: the same for all processes, and cheap to read. */
export function nowUs(): number {
  return baseUs + performance.now() * 1000;
}
