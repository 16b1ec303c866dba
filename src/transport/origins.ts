/**
 * Tests a browser's Origin header. Entries are origins (`https://app.example.com`), with `*` for one or more
 * labels of the host (`https://*.example.com`). An empty list allows every origin.
 */
export function originMatcher(allowed: readonly string[]): (origin: string) => boolean {
  if (allowed.length === 0) return () => true;
  const exact = new Set(allowed.filter((entry) => !entry.includes('*')).map((entry) => entry.toLowerCase()));
  const wild = allowed
    .filter((entry) => entry.includes('*'))
    .map((entry) => entry.toLowerCase().split('*') as [string, string]);
  return (origin) => {
    const given = origin.toLowerCase();
    if (exact.has(given)) return true;
    return wild.some(
      ([head, tail]) =>
        given.length > head.length + tail.length &&
        given.startsWith(head) &&
        given.endsWith(tail) &&
        /^[a-z0-9.-]+$/.test(given.slice(head.length, given.length - tail.length)),
    );
  };
}
