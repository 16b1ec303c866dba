import { type Exchange, HttpError } from './exchange.ts';
import { ACCEPTED_TYPES, type BodyFormat } from './media-types.ts';

/** Sent with a 415: the accepted types. */
const UNSUPPORTED_HEADERS = { 'Accept-Post': ACCEPTED_TYPES, 'Accept-Encoding': 'identity' };

/**
 * A body and its encoding. Called before anything is awaited: uWebSockets.js drops what nobody waits for. Rejects
 * with `HttpError`.
 */
export async function readBody(
  exchange: Exchange,
  limit: number,
): Promise<{ body: Buffer; format: BodyFormat }> {
  const { bodyFormat } = exchange;
  if ('problem' in bodyFormat) {
    throw new HttpError('unsupported_media_type', bodyFormat.problem, UNSUPPORTED_HEADERS);
  }
  const body = await exchange.body(limit);
  if (body === null) throw new HttpError('payload_too_large', `a body may have at most ${limit} bytes`);
  return { body, format: bodyFormat.format };
}
