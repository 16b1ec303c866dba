/** Settings under `auth`. */
import { z } from 'zod';
import {
  judged,
  listOf,
  matching,
  optionalJudged,
  optionalText,
  optionalUrl,
  whole,
  yesNo,
} from '../fields.ts';
import { FILE_PATH } from './shared.ts';

// Signature algorithms by name, so that `none` never matches.
const ALGORITHMS = /^((HS|RS|PS)(256|384|512)|ES(256|384|512)|EdDSA|Ed25519)$/;

/** RFC 7518, 3.2: as many bytes as the hash has. */
const LEAST_SECRET_BYTES = 32;

/** Who has one token can try secrets without asking a node, and a short one is found. */
function secretProblem(secret: string): string | null {
  const bytes = new TextEncoder().encode(secret).length;
  if (bytes >= LEAST_SECRET_BYTES) return null;
  return `has ${bytes} bytes, and HS256 needs ${LEAST_SECRET_BYTES} or more: whoever has a token can guess a shorter one; make one with openssl rand -base64 32`;
}

export const auth = z.strictObject({
  secret: optionalJudged({
    problemOf: secretProblem,
    expected: 'a secret',
    secret: true,
    meaning: 'Shared secret of HS256 tokens: 32 random bytes or more, as from `openssl rand -base64 32`',
  }),
  oldSecrets: listOf({
    item: judged(secretProblem, 'a secret'),
    expected: 'a list of secrets',
    secret: true,
    meaning:
      'Secrets of which tokens are accepted beside those of `auth.secret`, during a rotation; at most 7',
  }),
  publicKeyFile: optionalText({
    ...FILE_PATH,
    readable: true,
    meaning: 'PEM public key to check token signatures with, or several, one after the other',
  }),
  jwksUrl: optionalUrl({
    protocols: ['http:', 'https:'],
    expected: 'a URL such as https://id.example.com/.well-known/jwks.json',
    meaning: 'URL of the key set (JWKS) to check token signatures with',
  }),
  issuer: optionalText({
    pattern: /./,
    expected: 'the name of an issuer',
    meaning: '`iss` that a token must have',
  }),
  audience: optionalText({
    pattern: /./,
    expected: 'the name of an audience',
    meaning: '`aud` that a token must have',
  }),
  algorithms: listOf({
    item: matching(ALGORITHMS, 'a signature algorithm such as HS256, RS256, ES256 or EdDSA'),
    expected: 'a list of signature algorithms',
    defaultText: 'all that fit the key',
    meaning: 'Accepted signature algorithms',
  }),
  // Far above what honest clients behind one address have refused, and a twentieth of a core: a forged RSA token costs 0.1 ms.
  refusalsPerSecond: whole({
    min: 0,
    max: 1_000_000,
    standard: 500,
    meaning:
      'Tokens a second that one client address (IPv6: one /64) may have refused, four times as many at once; an accepted one counts a tenth. Beyond that its tokens are not checked (`rate_limited`). `0`: no limit',
  }),
  // Off: an operator who configures tokens mostly wants them from everyone.
  anonymous: yesNo({
    standard: false,
    meaning:
      'Also admit connections without a token, as anonymous, when tokens are configured; room rules decide what they may do',
  }),
});
