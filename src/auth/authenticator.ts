import { errors, type JWTPayload, type JWTVerifyOptions } from 'jose';
import { roomNameProblem, USER_ROOM_PREFIX, utf8Length } from '../protocol/limits.ts';
import { type Clock, systemClock } from '../util/clock.ts';
import { type Logger, silentLog } from '../util/log.ts';
import { acceptedAlgorithms, PUBLIC_KEY_ALGORITHMS } from './algorithms.ts';
import { FixedKeys } from './fixed-keys.ts';
import {
  type Authenticator,
  AuthFailure,
  CLOCK_TOLERANCE_MS,
  type Identity,
  tokenIdProblem,
} from './identity.ts';
import { KeySet } from './key-set.ts';
import { permissionsFrom } from './permissions.ts';

/** How tokens are signed. At most one of `secret`, `publicKeyFile` and `jwksUrl` is set. */
export interface TokenOptions {
  /** Shared secret of HMAC-signed tokens. */
  readonly secret: string | null;
  /** Secrets that are accepted beside it. */
  readonly oldSecrets?: readonly string[];
  /** PEM file with the public key (SPKI) of tokens signed with a private one, or several. */
  readonly publicKeyFile: string | null;
  /** URL of a JSON Web Key Set. */
  readonly jwksUrl: string | null;
  readonly issuer: string | null;
  readonly audience: string | null;
  /** Empty: all that fit the kind of key. */
  readonly algorithms: readonly string[];
}

/** `log` is for a key set; the other keys are read once. */
export interface TokenParts {
  /** Decides whether a token has expired. Default: the clock of the machine. */
  readonly clock?: Clock;
  readonly log?: Logger;
}

const MAX_USER_BYTES = 100;

/** How tokens are checked: the keys, and the algorithms that they support. */
interface Verification {
  readonly keys: FixedKeys | KeySet;
  readonly checks: JWTVerifyOptions;
}

/**
 * The authenticator for JSON Web Tokens, or null if no key is configured. Throws, with a sentence, for an
 * unusable key and for algorithms that do not fit it.
 */
export function tokenAuthenticator(options: TokenOptions, parts: TokenParts = {}): TokenAuthenticator | null {
  const verification = verificationOf(options, parts, null);
  return verification === null ? null : new TokenAuthenticator(verification, parts);
}

export class TokenAuthenticator implements Authenticator {
  readonly #parts: TokenParts;
  #verification: Verification;

  /** See `tokenAuthenticator`. */
  constructor(verification: Verification, parts: TokenParts) {
    this.#verification = verification;
    this.#parts = parts;
  }

  async prepare(): Promise<void> {
    const { keys } = this.#verification;
    if (keys instanceof KeySet) await keys.prepare();
  }

  /**
   * Uses other keys from now on; those of a key set are fetched again. Connections that are open stay. Throws, with a sentence, for
   * settings that a node would not start with: then nothing changes.
   */
  reload(options: TokenOptions): void {
    const next = verificationOf(options, this.#parts, this.#verification.keys);
    if (next === null) {
      throw new Error(
        'auth: the settings no longer name a key: a node has to be restarted to admit everyone',
      );
    }
    this.#verification = next;
    if (next.keys instanceof KeySet) next.keys.refresh();
  }

  async authenticate(token: string): Promise<Identity> {
    const { keys, checks } = this.#verification;
    const { clock = systemClock } = this.#parts;
    try {
      const { payload } = await keys.verify(token, { ...checks, currentDate: new Date(clock.wallMs()) });
      return identityFrom(payload);
    } catch (error) {
      throw asFailure(error);
    }
  }
}

/** `before`: the keys until now. A key set of the same URL keeps what it knows. */
function verificationOf(
  options: TokenOptions,
  parts: TokenParts,
  before: Verification['keys'] | null,
): Verification | null {
  const keys = keysOf(options, parts, before);
  if (keys === null) return null;
  const possible = keys instanceof KeySet ? PUBLIC_KEY_ALGORITHMS : keys.possible;
  const checks = {
    algorithms: acceptedAlgorithms(options.algorithms, possible),
    clockTolerance: CLOCK_TOLERANCE_MS / 1000,
    ...(options.issuer === null ? {} : { issuer: options.issuer }),
    ...(options.audience === null ? {} : { audience: options.audience }),
  };
  return { keys, checks };
}

function keysOf(
  { secret, oldSecrets = [], publicKeyFile, jwksUrl }: TokenOptions,
  { clock = systemClock, log = silentLog }: TokenParts,
  before: Verification['keys'] | null,
): Verification['keys'] | null {
  if ([secret, publicKeyFile, jwksUrl].filter((source) => source !== null).length > 1) {
    throw new Error('auth: set only one of auth.secret, auth.publicKeyFile and auth.jwksUrl');
  }
  if (secret !== null) return FixedKeys.ofSecrets([secret, ...oldSecrets]);
  if (publicKeyFile !== null) return FixedKeys.ofFile(publicKeyFile);
  if (jwksUrl === null) return null;
  const url = new URL(jwksUrl);
  return before instanceof KeySet && before.url === url.href ? before : new KeySet({ url, clock, log });
}

function identityFrom(payload: JWTPayload): Identity {
  const { sub, exp, iat } = payload;
  if (typeof sub !== 'string' || sub === '' || utf8Length(sub) > MAX_USER_BYTES) {
    throw new AuthFailure(
      'unauthorized',
      `the token's sub must be 1 to ${MAX_USER_BYTES} bytes: it names the user`,
    );
  }
  // The user's personal room contains the user's name.
  const problem = roomNameProblem(USER_ROOM_PREFIX + sub);
  if (problem !== null)
    throw new AuthFailure('unauthorized', `the token's sub is not a valid user: ${problem}`);
  return {
    user: sub,
    ...(payload.info === undefined ? {} : { info: payload.info }),
    expiresAtMs: exp === undefined ? null : exp * 1000,
    ...(iat === undefined ? {} : { issuedAtMs: iat * 1000 }),
    ...tokenIdOf(payload.jti),
    permissions: permissionsFrom(payload.rooms),
  };
}

/** Some issuers count their tokens. A larger number has lost digits by now, which others may share. */
function tokenIdOf(jti: unknown): { readonly tokenId?: string } {
  const id = Number.isSafeInteger(jti) ? String(jti) : jti;
  return typeof id === 'string' && tokenIdProblem(id) === null ? { tokenId: id } : {};
}

/** A fault of the token becomes an `AuthFailure`; anything else is our own fault and stays as it is. */
function asFailure(error: unknown): Error {
  if (error instanceof AuthFailure) return error;
  if (
    error instanceof errors.JWTClaimValidationFailed &&
    error.claim === 'nbf' &&
    error.reason === 'check_failed'
  ) {
    return new AuthFailure('unauthorized', 'the token is not valid yet: its nbf lies ahead', {
      cause: error,
    });
  }
  if (error instanceof errors.JWTExpired) return new AuthFailure('token_expired', 'the token has expired');
  if (error instanceof errors.JWSInvalid) {
    const why = 'it is no JSON Web Token, which has three parts in base64url, separated by dots';
    return new AuthFailure('unauthorized', `the token was refused: ${why}`, { cause: error });
  }
  if (error instanceof errors.JOSEError) {
    return new AuthFailure('unauthorized', `the token was refused: ${error.message}`, { cause: error });
  }
  return error instanceof Error ? error : new Error('cannot check the token', { cause: error });
}
