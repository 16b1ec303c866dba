import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose';
import { roomNameProblem, USER_ROOM_PREFIX, utf8Length } from '../protocol/limits.ts';
import { type Clock, systemClock } from '../util/clock.ts';
import { type Logger, silentLog } from '../util/log.ts';
import { acceptedAlgorithms, algorithmsOf, PUBLIC_KEY_ALGORITHMS, SECRET_ALGORITHMS } from './algorithms.ts';
import {
  type Authenticator,
  AuthFailure,
  CLOCK_TOLERANCE_MS,
  type Identity,
  MAX_TOKEN_ID_BYTES,
} from './identity.ts';
import { KeySet } from './key-set.ts';
import { permissionsFrom } from './permissions.ts';

/** How tokens are signed. At most one of `secret`, `publicKeyFile` and `jwksUrl` is set. */
export interface TokenOptions {
  /** Shared secret of HMAC-signed tokens. */
  readonly secret: string | null;
  /** PEM file with the public key (SPKI) of tokens signed with a private one. */
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

/** How tokens are checked: the key, and the algorithms it supports. */
interface Verification {
  readonly verify: (token: string, options: JWTVerifyOptions) => Promise<{ payload: JWTPayload }>;
  readonly possible: readonly string[];
  readonly prepare?: () => Promise<void>;
}

/**
 * The authenticator for JSON Web Tokens, or null if no key is configured. Throws, with a sentence, for an
 * unusable key and for algorithms that do not fit it.
 */
export function tokenAuthenticator(options: TokenOptions, parts: TokenParts = {}): Authenticator | null {
  const verification = verificationOf(options, parts);
  if (verification === null) return null;
  const { verify, possible, prepare } = verification;
  const { clock = systemClock } = parts;
  const checks: JWTVerifyOptions = {
    algorithms: acceptedAlgorithms(options.algorithms, possible),
    clockTolerance: CLOCK_TOLERANCE_MS / 1000,
    ...(options.issuer === null ? {} : { issuer: options.issuer }),
    ...(options.audience === null ? {} : { audience: options.audience }),
  };
  return {
    ...(prepare === undefined ? {} : { prepare }),
    async authenticate(token) {
      try {
        const { payload } = await verify(token, { ...checks, currentDate: new Date(clock.wallMs()) });
        return identityFrom(payload);
      } catch (error) {
        throw asFailure(error);
      }
    },
  };
}

function verificationOf(
  { secret, publicKeyFile, jwksUrl }: TokenOptions,
  { clock = systemClock, log = silentLog }: TokenParts,
): Verification | null {
  if ([secret, publicKeyFile, jwksUrl].filter((source) => source !== null).length > 1) {
    throw new Error('auth: set only one of auth.secret, auth.publicKeyFile and auth.jwksUrl');
  }
  if (secret !== null) {
    const key = new TextEncoder().encode(secret);
    return { verify: (token, options) => jwtVerify(token, key, options), possible: SECRET_ALGORITHMS };
  }
  if (publicKeyFile !== null) {
    const { key, possible } = readPublicKey(publicKeyFile);
    return { verify: (token, options) => jwtVerify(token, key, options), possible };
  }
  if (jwksUrl !== null) {
    const keys = new KeySet({ url: new URL(jwksUrl), clock, log });
    return {
      verify: (token, options) => keys.verify(token, options),
      possible: PUBLIC_KEY_ALGORITHMS,
      prepare: () => keys.prepare(),
    };
  }
  return null;
}

function readPublicKey(path: string): { key: KeyObject; possible: readonly string[] } {
  const pem = readFileSync(path, 'utf8');
  try {
    const key = createPublicKey(pem);
    return { key, possible: algorithmsOf(key) };
  } catch (cause) {
    const { message, code } = cause as NodeJS.ErrnoException;
    // OpenSSL's own words for what it cannot parse help no one.
    const problem = code === undefined ? message : 'it has no public key in PEM';
    throw new Error(`auth.publicKeyFile: cannot use ${path}: ${problem}`, { cause });
  }
}

function identityFrom(payload: JWTPayload): Identity {
  const { sub, exp } = payload;
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
    ...tokenIdOf(payload.jti),
    permissions: permissionsFrom(payload.rooms),
  };
}

/** Some issuers count their tokens. */
function tokenIdOf(jti: unknown): { readonly tokenId?: string } {
  const id = typeof jti === 'number' ? String(jti) : jti;
  if (typeof id !== 'string' || id === '' || utf8Length(id) > MAX_TOKEN_ID_BYTES) return {};
  return { tokenId: id };
}

/** A fault of the token becomes an `AuthFailure`; anything else is our own fault and stays as it is. */
function asFailure(error: unknown): Error {
  if (error instanceof AuthFailure) return error;
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
