/** What the headers of a request say about the encoding of its body and of the answer. */

/** Media types in use for MessagePack. `vnd.msgpack` is the registered one; libraries use all three. */
const MSGPACK_NAMES: readonly string[] = [
  'application/msgpack',
  'application/x-msgpack',
  'application/vnd.msgpack',
];
const JSON_NAME = 'application/json';

/** For the `Accept-Post` header and for people. */
export const ACCEPTED_TYPES = [JSON_NAME, ...MSGPACK_NAMES].join(', ');

export type BodyFormat = 'json' | 'msgpack';

/** How a body is encoded, or a sentence on why it cannot be read. */
export type BodyFormatResult = { readonly format: BodyFormat } | { readonly problem: string };

const PLAIN_JSON: BodyFormatResult = { format: 'json' };

/**
 * What `curl -d` and `fetch` with a string send for any body, and what any web page may send without a
 * preflight.
 */
const UNSAID_NAMES: readonly string[] = ['text/plain', 'application/x-www-form-urlencoded'];

/**
 * `contentType` and `contentEncoding`: the header lines, '' if absent. A body without a type is JSON.
 * `hasKey`: the request presents a key, which a page of another site cannot add without a preflight; then the
 * default types of tools mean JSON too.
 */
export function bodyFormat(contentType: string, contentEncoding: string, hasKey: boolean): BodyFormatResult {
  if (contentEncoding !== '' && contentEncoding.toLowerCase() !== 'identity') {
    return {
      problem: `Content-Encoding ${shown(contentEncoding)} is not supported: send the body uncompressed`,
    };
  }
  if (contentType === '' || contentType === JSON_NAME) return PLAIN_JSON;
  const name = typeName(contentType);
  const format = formatOf(name, hasKey);
  if (format === null) {
    return {
      problem: `Content-Type ${shown(contentType)} is not supported: send ${JSON_NAME} or ${MSGPACK_NAMES[0]}`,
    };
  }
  const charset = charsetOf(contentType);
  if (charset === null || /^utf-?8$/i.test(charset)) return { format };
  return { problem: `charset ${shown(charset)} is not supported: send the body in UTF-8` };
}

function formatOf(name: string, hasKey: boolean): BodyFormat | null {
  if (name === JSON_NAME || (hasKey && UNSAID_NAMES.includes(name))) return 'json';
  return MSGPACK_NAMES.includes(name) ? 'msgpack' : null;
}

/** The MessagePack type, if that is the first type of an `Accept` header; else null. */
export function acceptedMsgpack(accept: string): string | null {
  const name = typeName(accept.split(',', 1)[0]!);
  return MSGPACK_NAMES.includes(name) ? name : null;
}

/** The type without its parameters, in lower case. */
export function typeName(header: string): string {
  return header.split(';', 1)[0]!.trim().toLowerCase();
}

/** The value of the parameter `charset`, or null. */
function charsetOf(contentType: string): string | null {
  const match = /;\s*charset\s*=\s*(?:"([^"]*)"|([^\s;]*))/i.exec(contentType);
  return match === null ? null : (match[1] ?? match[2]!);
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 60));
}
