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

/** As the standard asks, and jose with it: tokens of a shorter key would all be refused. */
const MIN_RSA_BITS = 2048;

const OF_CURVE: Readonly<Record<string, string>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
};

/** The algorithms that a public key can check signatures of. Throws for a key that is of no use. */
export function algorithmsOf(key: KeyObject): readonly string[] {
  const { namedCurve = '', modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      if (modulusLength < MIN_RSA_BITS) {
        throw new Error(`an RSA key needs ${MIN_RSA_BITS} bits or more, this one has ${modulusLength}`);
      }
      return PUBLIC_KEY_ALGORITHMS.filter((name) => /^[RP]S/.test(name));
    case 'ec':
      if (OF_CURVE[namedCurve] === undefined)
        throw new Error(`keys on the curve ${namedCurve} are not known`);
      return [OF_CURVE[namedCurve]];
    case 'ed25519':
      return ED25519_NAMES;
    default:
      throw new Error(`keys of the type ${key.asymmetricKeyType} are not known: use RSA, EC or Ed25519`);
  }
}

/**
 * What of the configured algorithms is accepted with a key that can do `possible`; none configured: all of these. The kind
 * of key is what fixes them, so that the text of a public key can never be taken for a shared secret. Throws for a
 * configured one that the key cannot do: whoever asked for it expects its tokens to be let in.
 */
export function acceptedAlgorithms(configured: readonly string[], possible: readonly string[]): string[] {
  if (configured.length === 0) return [...possible];
  const unfit = configured.filter((name) => !possible.includes(name));
  if (unfit.length === 0) return withBothNames(configured);
  throw new Error(
    `auth.algorithms: ${unfit.join(', ')} cannot be used with this kind of key, which can do ${possible.join(', ')}`,
  );
}

function withBothNames(algorithms: readonly string[]): string[] {
  const hasOne = algorithms.some((name) => ED25519_NAMES.includes(name));
  return hasOne ? [...new Set([...algorithms, ...ED25519_NAMES])] : [...algorithms];
}
