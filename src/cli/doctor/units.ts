/** Formats numbers for people. */

/** `64 MiB`, `1.5 GiB`, `512 B`. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, count)) / 10));
  return `${Number((count / 1024 ** power).toFixed(1))} ${units[power]}`;
}

/** `3 ms`, `1.2 s`, `4 min`. Ignores the sign. */
export function duration(milliseconds: number): string {
  const amount = Math.abs(milliseconds);
  if (amount < 1000) return `${Math.round(amount)} ms`;
  return amount < 120_000 ? `${Number((amount / 1000).toFixed(1))} s` : `${Math.round(amount / 60_000)} min`;
}
