import { createHash, timingSafeEqual } from 'node:crypto';
import { type Exchange, HttpError } from './exchange.ts';

export interface ApiGuardOptions {
  /** Keys that open the HTTP API. */
  readonly apiKeys: readonly string[];
  /** Without a key the API is open in development, and off in production. */
  readonly production: boolean;
}

/** Returns a check that throws `HttpError` for requests that may not use the HTTP API. */
export function apiGuard({ apiKeys, production }: ApiGuardOptions): (exchange: Exchange) => void {
  const known = apiKeys.map(digest);
  return (exchange) => {
    if (known.length === 0 && !production) return;
    if (known.length === 0) {
      throw new HttpError(
        'forbidden',
        'the HTTP API is off in production until an API key is set: ROOMCAST_API_KEYS',
      );
    }
    const given = /^bearer (.+)$/i.exec(exchange.authorization)?.[1];
    if (given === undefined) {
      throw new HttpError('unauthorized', 'send the API key: Authorization: Bearer <key>');
    }
    // Digests are of equal length, and comparing all of them takes the same time whatever was guessed.
    const presented = digest(given);
    let matches = false;
    for (const key of known) if (timingSafeEqual(key, presented)) matches = true;
    if (!matches) throw new HttpError('unauthorized', 'this API key is not known');
  };
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
