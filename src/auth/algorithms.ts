import type { KeyObject } from 'node:crypto';

/** Signature algorithms of shared secrets. */
export const SECRET_ALGORITHMS: readonly string[] = ['HS256', 'HS384', 'HS512'];
/** Signature algorithms of key pairs. */
export const PUBLIC_KEY_ALGORITHMS: readonly string[] = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];

/** RFC 9864 renamed EdDSA with Ed25519 keys to Ed25519; providers use either name for the same signatures. */
const ED25519_NAMES = ['EdDSA', 'Ed25519'];

/** Required by the standard and by jose: every token of a shorter key would be refused. */
const MIN_RSA_BITS = 2048;

const OF_CURVE: Readonly<Record<string, string>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
};

/** The algorithms whose signatures a public key can check. Throws for an unusable key. */
export function algorithmsOf(key: KeyObject): readonly string[] {
  const { namedCurve = '', modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      if (modulusLength < MIN_RSA_BITS) {
        throw new Error(`an RSA key must have at least ${MIN_RSA_BITS} bits, got ${modulusLength}`);
      }
      return PUBLIC_KEY_ALGORITHMS.filter((name) => /^[RP]S/.test(name));
    case 'ec':
      if (OF_CURVE[namedCurve] === undefined)
        throw new Error(`keys on the curve ${namedCurve} are not supported`);
      return [OF_CURVE[namedCurve]];
    case 'ed25519':
      return ED25519_NAMES;
    default:
      throw new Error(`keys of type ${key.asymmetricKeyType} are not supported: use RSA, EC or Ed25519`);
  }
}

/**
 * Which configured algorithms are accepted with a key that supports `possible`; if none are configured, all
 * of these. The kind of key limits them, so that the text of a public key can never serve as a shared secret.
 * Throws for a configured algorithm that the key does not support: the operator expects its tokens to be
 * accepted.
 */
export function acceptedAlgorithms(configured: readonly string[], possible: readonly string[]): string[] {
  if (configured.length === 0) return [...possible];
  const unfit = configured.filter((name) => !possible.includes(name));
  if (unfit.length === 0) return withBothNames(configured);
  throw new Error(
    `auth.algorithms: cannot use ${unfit.join(', ')} with this kind of key: use ${possible.join(', ')}`,
  );
}

function withBothNames(algorithms: readonly string[]): string[] {
  const hasOne = algorithms.some((name) => ED25519_NAMES.includes(name));
  return hasOne ? [...new Set([...algorithms, ...ED25519_NAMES])] : [...algorithms];
}
