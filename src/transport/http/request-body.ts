import { type Exchange, HttpError } from './exchange.ts';
import { readFields } from './incoming-messages.ts';
import { ACCEPTED_TYPES, type BodyFormat } from './media-types.ts';

/** Sent with a 415: the accepted types. */
const UNSUPPORTED_HEADERS = { 'Accept-Post': ACCEPTED_TYPES, 'Accept-Encoding': 'identity' };

export interface RequestBody {
  readonly body: Buffer;
  readonly format: BodyFormat;
}

/** A body of at most so many bytes. Throws `HttpError`. */
export async function readBody(exchange: Exchange, bodyBytes: number): Promise<RequestBody> {
  const { bodyFormat } = exchange;
  if ('problem' in bodyFormat) {
    throw new HttpError('unsupported_media_type', bodyFormat.problem, UNSUPPORTED_HEADERS);
  }
  const body = await exchange.body(bodyBytes);
  if (body === null) throw new HttpError('payload_too_large', `a body may have at most ${bodyBytes} bytes`);
  return { body, format: bodyFormat.format };
}

/**
 * The fields of a body that is one object: text, numbers, booleans and null; of a field with another type only
 * that it is there. Throws `HttpError`.
 */
export async function readObject<K extends string>(
  exchange: Exchange,
  bodyBytes: number,
  names: readonly K[],
): Promise<Readonly<Record<K, unknown>>> {
  const { body, format } = await readBody(exchange, bodyBytes);
  const fields = readFields(body, format, names);
  if ('problem' in fields) throw new HttpError('bad_request', `the body${fields.problem}`);
  return fields.fields;
}
