/**
 * Parameters and path segments of a URL. Text that is not UTF-8 is refused: with replaced characters it would
 * name something else.
 */
import type { HttpRequest } from '../uws.ts';
import { HttpError } from './http-error.ts';

/**
 * uWebSockets.js replaces bytes that are not UTF-8 with this. A client that means the character
 * percent-encodes it.
 */
const REPLACEMENT = '\ufffd';

/** A query parameter; undefined if absent. `+` is a space. Throws `HttpError`. */
export function queryParameter(req: HttpRequest, name: string): string | undefined {
  const query = req.getQuery() as string | undefined;
  if (query === undefined || query === '') return undefined;
  for (const pair of query.split('&')) {
    const equals = pair.indexOf('=');
    const key = equals === -1 ? pair : pair.slice(0, equals);
    if (key !== name) continue;
    const value = decoded(equals === -1 ? '' : pair.slice(equals + 1).replaceAll('+', ' '));
    if (value === null) {
      throw new HttpError('bad_request', `the query parameter ${name} is not percent-encoded UTF-8`);
    }
    return value;
  }
  return undefined;
}

/** The text of a percent-encoded part of a URL; null if it is not UTF-8. */
export function decoded(part: string): string | null {
  if (part.includes(REPLACEMENT)) return null;
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}
