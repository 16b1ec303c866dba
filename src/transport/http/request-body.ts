import { overLimit } from '../../connection/over-limit.ts';
import type { Exchange } from './exchange.ts';
import { HttpError } from './http-error.ts';
import { readObject } from './incoming-messages.ts';
import { ACCEPTED_TYPES, type BodyFormat } from './media-types.ts';
import type { UnfinishedBodies } from './unfinished-bodies.ts';

/** Sent with a 415: the accepted types. */
const UNSUPPORTED_HEADERS = { 'Accept-Post': ACCEPTED_TYPES, 'Accept-Encoding': 'identity' };

export interface RequestBody {
  readonly body: Buffer;
  readonly format: BodyFormat;
}

/** Told to a client whose body is one too many: by then others are whole, or were given up. */
const NO_ROOM_RETRY_MS = 1000;

/**
 * A body of at most so many bytes. Called before anything is awaited: uWebSockets.js drops what nobody waits for. `bodies`:
 * those of clients, which share a limit; null for the API, whose key was checked. `tooLarge`: what one is told whose body has
 * more. Rejects with `HttpError`.
 */
export async function readBody(
  exchange: Exchange,
  bodyBytes: number,
  bodies: UnfinishedBodies | null = null,
  tooLarge = overLimit('payload_too_large', 'the body is too large', 'limits.bodyBytes', bodyBytes, null),
): Promise<RequestBody> {
  const { bodyFormat } = exchange;
  if ('problem' in bodyFormat) {
    throw new HttpError('unsupported_media_type', bodyFormat.problem, UNSUPPORTED_HEADERS);
  }
  const body = await exchange.body(bodyBytes, bodies);
  if (body === 'no room') throw noRoom(bodies!);
  if (body === 'too large') throw HttpError.of(tooLarge);
  return { body, format: bodyFormat.format };
}

/** A body is one too many. */
export function noRoom({ maxBytes }: UnfinishedBodies): HttpError {
  const limit = 'limits.unfinishedBodyBytes';
  return HttpError.of(
    overLimit('rate_limited', 'too many unfinished requests', limit, maxBytes, NO_ROOM_RETRY_MS),
  );
}

/** These fields of a body that is one object; undefined where one is missing. Rejects with `HttpError`. */
export async function readFields<K extends string>(
  exchange: Exchange,
  bodyBytes: number,
  names: readonly K[],
): Promise<Readonly<Record<K, unknown>>> {
  const { body, format } = await readBody(exchange, bodyBytes);
  const all = readObject(body, format);
  if ('problem' in all) throw new HttpError('bad_request', `the body${all.problem}`);
  return Object.fromEntries(names.map((name) => [name, all.fields[name]])) as Record<K, unknown>;
}
