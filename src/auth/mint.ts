/** Signs a token, as an identity provider would: for development, scripts and tests. Nodes only check tokens. */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { SignJWT } from 'jose';
import { acceptedAlgorithms, algorithmsOf, SECRET_ALGORITHMS } from './algorithms.ts';
import { permissionsFrom } from './permissions.ts';
import type { Right } from './rights.ts';

/** An entry of the `rooms` claim; see `permissionsFrom`. */
export interface Grant extends Partial<Readonly<Record<Right, boolean>>> {
  readonly match: string;
}

export interface TokenClaims {
  readonly user: string;
  /** In ms since the Unix epoch. Null: it does not expire. */
  readonly expiresAtMs: number | null;
  readonly info?: unknown;
  /** `jti`, which the token can be revoked by. */
  readonly tokenId?: string;
  /** Undefined: no restrictions. */
  readonly rooms?: readonly Grant[];
}

export interface SigningKey {
  readonly algorithm: string;
  readonly key: KeyObject | Uint8Array;
  readonly keyId: string | null;
}

export interface SigningSettings {
  readonly issuer: string | null;
  readonly audience: string | null;
  readonly nowMs: number;
}

export function secretSigningKey(secret: string, configured: readonly string[]): SigningKey {
  const [algorithm] = acceptedAlgorithms(configured, SECRET_ALGORITHMS);
  return { algorithm: algorithm!, key: new TextEncoder().encode(secret), keyId: null };
}

/** Of a file with a private key in PEM. Throws, with a sentence, for anything else. */
export function privateSigningKey(
  path: string,
  configured: readonly string[],
  keyId: string | null,
): SigningKey {
  const pem = readFileSync(path, 'utf8');
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw new Error(`${path} has no private key in PEM`, { cause });
  }
  const [algorithm] = acceptedAlgorithms(configured, algorithmsOf(createPublicKey(key)));
  return { algorithm: algorithm!, key, keyId };
}

/** Throws `AuthFailure` for rooms that no node would accept. */
export function mintToken(
  { user, expiresAtMs, info, tokenId, rooms }: TokenClaims,
  { algorithm, key, keyId }: SigningKey,
  { issuer, audience, nowMs }: SigningSettings,
): Promise<string> {
  permissionsFrom(rooms);
  const claims = { ...(info !== undefined && { info }), ...(rooms !== undefined && { rooms }) };
  const token = new SignJWT(claims)
    .setProtectedHeader({ alg: algorithm, ...(keyId !== null && { kid: keyId }) })
    .setSubject(user)
    .setIssuedAt(Math.floor(nowMs / 1000));
  if (expiresAtMs !== null) token.setExpirationTime(Math.ceil(expiresAtMs / 1000));
  if (tokenId !== undefined) token.setJti(tokenId);
  if (issuer !== null) token.setIssuer(issuer);
  if (audience !== null) token.setAudience(audience);
  return token.sign(key);
}
