/** Headers of every answer over HTTP: browsers then do nothing with it but what it is for. */

export type Headers = Readonly<Record<string, string>>;

/** An answer is data for a program. A page, a script or a stream has its own value where it needs another. */
export const ANSWER_HEADERS: Headers = {
  // Not a script or a style because it looks like one.
  'X-Content-Type-Options': 'nosniff',
  // Opened as a page, it loads, runs and submits nothing, and is in no frame of another.
  'Content-Security-Policy':
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Frame-Options': 'DENY',
  // The address may have a token in it.
  'Referrer-Policy': 'no-referrer',
  // Pages of other sites cannot load it as an image or a script. CORS, where it is allowed, is not concerned.
  'Cross-Origin-Resource-Policy': 'same-origin',
  // It says who is where: not for caches on the way.
  'Cache-Control': 'no-store',
};

/** Of a node in production that serves TLS: browsers then use nothing else for a year. */
export const HTTPS_ONLY: Headers = { 'Strict-Transport-Security': 'max-age=31536000' };
