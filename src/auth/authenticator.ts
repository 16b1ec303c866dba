import { readFileSync } from 'node:fs';
import {
  createRemoteJWKSet,
  errors,
  importSPKI,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose';
import { type Authenticator, AuthFailure, type Identity } from './identity.ts';
import { permissionsFrom } from './permissions.ts';

/** Where tokens come from. At most one of `secret`, `publicKeyFile` and `jwksUrl` is set. */
export interface TokenOptions {
  /** Shared secret of HMAC-signed tokens. */
  readonly secret: string | null;
  /** PEM file with the public key (SPKI) of tokens signed with a private one. */
  readonly publicKeyFile: string | null;
  /** Address of a JSON Web Key Set. */
  readonly jwksUrl: string | null;
  readonly issuer: string | null;
  readonly audience: string | null;
  /** Empty: those that fit the kind of key. */
  readonly algorithms: readonly string[];
}

const HMAC = ['HS256', 'HS384', 'HS512'];
const ASYMMETRIC = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];
/** Seconds by which the clocks of the issuer and of this node may differ. */
const CLOCK_TOLERANCE_S = 5;
const MAX_USER_BYTES = 100;

type Verify = (token: string, options: JWTVerifyOptions) => Promise<{ payload: JWTPayload }>;

/** The authenticator for JSON Web Tokens, or null where no key is configured. Throws for a key that cannot be used. */
export async function tokenAuthenticator(options: TokenOptions): Promise<Authenticator | null> {
  const verify = await verifier(options);
  if (verify === null) return null;
  const checks: JWTVerifyOptions = {
    algorithms: algorithms(options),
    clockTolerance: CLOCK_TOLERANCE_S,
    ...(options.issuer === null ? {} : { issuer: options.issuer }),
    ...(options.audience === null ? {} : { audience: options.audience }),
  };
  return {
    async authenticate(token) {
      try {
        const { payload } = await verify(token, checks);
        return identityFrom(payload);
      } catch (error) {
        throw asFailure(error);
      }
    },
  };
}

/** The algorithms are fixed by the kind of key, so that a public key can never be taken for a shared secret. */
function algorithms({ secret, algorithms }: TokenOptions): string[] {
  if (algorithms.length > 0) return [...algorithms];
  return secret === null ? ASYMMETRIC : HMAC;
}

async function verifier({
  secret,
  publicKeyFile,
  jwksUrl,
  algorithms,
}: TokenOptions): Promise<Verify | null> {
  if (secret !== null) {
    const key = new TextEncoder().encode(secret);
    return (token, options) => jwtVerify(token, key, options);
  }
  if (publicKeyFile !== null) {
    const pem = readFileSync(publicKeyFile, 'utf8');
    const key = await importSPKI(pem, algorithms[0] ?? guessAlgorithm(pem));
    return (token, options) => jwtVerify(token, key, options);
  }
  if (jwksUrl !== null) {
    const keys = createRemoteJWKSet(new URL(jwksUrl));
    return (token, options) => jwtVerify(token, keys, options);
  }
  return null;
}

/** Keys of elliptic curves are a fraction of the length of an RSA key in PEM. */
function guessAlgorithm(pem: string): string {
  const length = pem.replace(/-----[^-]+-----|\s/g, '').length;
  if (length > 250) return 'RS256';
  return length < 70 ? 'EdDSA' : 'ES256';
}

function identityFrom(payload: JWTPayload): Identity {
  const { sub, exp } = payload;
  if (typeof sub !== 'string' || sub === '' || new TextEncoder().encode(sub).length > MAX_USER_BYTES) {
    throw new AuthFailure(
      'unauthorized',
      `the token has no sub of 1 to ${MAX_USER_BYTES} bytes: it names the user`,
    );
  }
  return {
    user: sub,
    ...(payload.info === undefined ? {} : { info: payload.info }),
    expiresAtMs: exp === undefined ? null : exp * 1000,
    permissions: permissionsFrom(payload.rooms),
  };
}

function asFailure(error: unknown): Error {
  if (error instanceof AuthFailure) return error;
  if (error instanceof errors.JWTExpired) return new AuthFailure('token_expired', 'the token has expired');
  if (error instanceof errors.JWKSTimeout) return error;
  if (error instanceof errors.JOSEError) {
    return new AuthFailure('unauthorized', `the token was not accepted: ${error.message}`, { cause: error });
  }
  return error instanceof Error ? error : new Error('a token could not be checked', { cause: error });
}
