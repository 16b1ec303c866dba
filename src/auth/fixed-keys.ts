/** Keys that the settings hold: shared secrets, and public keys in a file. Several, so that they can be rotated. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose';
import { algorithmsOf, SECRET_ALGORITHMS } from './algorithms.ts';

interface FixedKey {
  readonly key: KeyObject | Uint8Array;
  /** The signatures that it can check. */
  readonly possible: readonly string[];
}

/** A rotation needs two. Each forged token is checked with all of them. */
const MAX_KEYS = 8;
const PEM_BEGIN = /-----BEGIN [A-Z0-9 ]+-----/g;
const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g;

export class FixedKeys {
  /** The signatures that one of the keys can check. */
  readonly possible: readonly string[];
  readonly #keys: readonly FixedKey[];

  private constructor(keys: readonly FixedKey[], setting: string) {
    if (keys.length > MAX_KEYS) throw new Error(`${setting}: at most ${MAX_KEYS} keys, got ${keys.length}`);
    this.#keys = keys;
    this.possible = [...new Set(keys.flatMap(({ possible }) => possible))];
  }

  static ofSecrets(secrets: readonly string[]): FixedKeys {
    const encoder = new TextEncoder();
    const keys = secrets.map((secret) => ({ key: encoder.encode(secret), possible: SECRET_ALGORITHMS }));
    return new FixedKeys(keys, 'auth.oldSecrets');
  }

  /** Of a file with one public key in PEM, or several one after the other. Throws, with a sentence, for anything else. */
  static ofFile(path: string): FixedKeys {
    const text = readFileSync(path, 'utf8');
    const blocks = text.match(PEM_BLOCK) ?? [text];
    // A file that is still being written must not take the other keys away.
    if ((text.match(PEM_BEGIN)?.length ?? 0) > blocks.length) {
      throw new Error(`auth.publicKeyFile: cannot use ${path}: it ends within a key, or a key has no end`);
    }
    return new FixedKeys(
      blocks.map((pem, index) => publicKey(pem, blocks.length > 1 ? `key ${index + 1} of ${path}` : path)),
      'auth.publicKeyFile',
    );
  }

  /** Rejects with jose's errors. A token says nothing about its key that counts: all that may fit are tried. */
  async verify(token: string, options: JWTVerifyOptions): Promise<{ readonly payload: JWTPayload }> {
    let failure: unknown;
    for (const { key, possible } of this.#keys) {
      const algorithms = options.algorithms!.filter((name) => possible.includes(name));
      try {
        return await jwtVerify(token, key, { ...options, algorithms });
      } catch (error) {
        const isOfAnother =
          error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JOSEAlgNotAllowed;
        if (!isOfAnother) throw error;
        failure ??= error;
      }
    }
    throw failure;
  }
}

function publicKey(pem: string, from: string): FixedKey {
  try {
    const key = createPublicKey(pem);
    return { key, possible: algorithmsOf(key) };
  } catch (cause) {
    const { message, code } = cause as NodeJS.ErrnoException;
    // OpenSSL's own words for what it cannot parse help no one.
    const problem = code === undefined ? message : 'it has no public key in PEM';
    throw new Error(`auth.publicKeyFile: cannot use ${from}: ${problem}`, { cause });
  }
}
