import { createPublicKey } from 'node:crypto';
import type { JWK } from 'jose';
import { algorithmsOf } from './algorithms.ts';

/** Members of a JWK that must stay secret: anyone who reads them can sign tokens. */
const PRIVATE_MEMBERS = ['d', 'k', 'priv'];

export interface UsableKeys {
  readonly keys: JWK[];
  /** The algorithms they support, without repeats. */
  readonly algorithms: readonly string[];
  /** What is wrong with the other keys, one phrase each. Encryption keys are not mentioned. */
  readonly unusable: readonly string[];
}

/**
 * The keys of a set that can check signatures. Throws, with a sentence, for anything but a key set, and for a
 * set without any such key. Other keys are left out here, so that a token that names one is refused, and is
 * not a fault of the node.
 */
export function usableKeys(set: unknown): UsableKeys {
  const list = typeof set === 'object' && set !== null ? (set as { keys?: unknown }).keys : undefined;
  if (!Array.isArray(list)) throw new Error('the answer is not a key set: it has no list named keys');
  const keys: JWK[] = [];
  const algorithms = new Set<string>();
  const unusable: string[] = [];
  for (const [index, entry] of list.entries()) {
    const jwk = (typeof entry === 'object' && entry !== null ? entry : {}) as JWK;
    if (jwk.use === 'enc') continue;
    try {
      const usable = withBothNames(jwk);
      const possible = algorithmsFor(usable);
      keys.push(usable);
      for (const name of possible) algorithms.add(name);
    } catch (error) {
      const name = typeof jwk.kid === 'string' ? `kid ${jwk.kid}` : `keys[${index}]`;
      unusable.push(`${name}: ${sentenceOf(error)}`);
    }
  }
  if (keys.length === 0) {
    throw new Error(['the key set has no key that can check signatures', ...unusable].join('; '));
  }
  return { keys, algorithms: [...algorithms], unusable };
}

/** Throws for an unusable key. */
function algorithmsFor(jwk: JWK): readonly string[] {
  if (PRIVATE_MEMBERS.some((name) => name in jwk)) {
    throw new Error('it is a secret key and must not be published');
  }
  const possible = algorithmsOf(createPublicKey({ key: jwk as never, format: 'jwk' }));
  if (jwk.alg === undefined) return possible;
  if (!possible.includes(jwk.alg)) throw new Error(`its alg ${jwk.alg} does not fit the kind of key`);
  return [jwk.alg];
}

function sentenceOf(error: unknown): string {
  const { message, code } = error as NodeJS.ErrnoException;
  // Node's own words for what it cannot parse help no one.
  return code === undefined ? message : 'it is not a public key';
}

/** EdDSA and Ed25519 are one algorithm: the key may use one name and the token the other. */
function withBothNames(jwk: JWK): JWK {
  if (jwk.kty !== 'OKP' || (jwk.alg !== 'EdDSA' && jwk.alg !== 'Ed25519')) return jwk;
  const { alg: _, ...rest } = jwk;
  return rest as JWK;
}
