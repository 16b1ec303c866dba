/** The header that says when to try again; none where waiting is not known to help. */
export function retryAfter(milliseconds: number | null | undefined): Readonly<Record<string, string>> {
  if (milliseconds === null || milliseconds === undefined) return {};
  return { 'Retry-After': String(Math.ceil(milliseconds / 1000)) };
}
