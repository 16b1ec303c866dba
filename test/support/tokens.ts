/** Signed tokens, as an identity provider would issue them. */
import { createSecretKey, type KeyObject } from 'node:crypto';
import { type JWTPayload, SignJWT } from 'jose';

export const SECRET = 'a secret of the tests, of more than 32 bytes';

export interface TokenSettings {
  /** Default HS256. */
  readonly alg?: string;
  /** Default the secret above. */
  readonly key?: KeyObject;
  readonly kid?: string;
}

/** A token with these claims; `exp` and the like in seconds since the Unix epoch. */
export function token(claims: JWTPayload, { alg = 'HS256', key, kid }: TokenSettings = {}): Promise<string> {
  const header = kid === undefined ? { alg } : { alg, kid };
  return new SignJWT(claims).setProtectedHeader(header).sign(key ?? secretKey(SECRET));
}

export function secretKey(text: string): KeyObject {
  return createSecretKey(Buffer.from(text));
}

/** Seconds since the Unix epoch, so many from now. */
export function secondsFromNow(seconds: number): number {
  return Math.floor(Date.now() / 1000) + seconds;
}
