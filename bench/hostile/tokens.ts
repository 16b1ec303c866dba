/** Forged, damaged and misused tokens, and the ways to present them. */
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { maskedFrame, OPCODE } from '../../src/load/frames.ts';
import type { Random } from '../../test/support/random.ts';
import { mutated } from './mutate.ts';
import { upgradeWith } from './requests.ts';
import { AUDIENCE, ISSUER } from './rooms.ts';

/** The node trusts one pair of keys; an attacker has the public half of it, and a pair of its own. */
export interface TokenKeys {
  readonly publicPem: string;
  readonly trusted: KeyObject;
  readonly foreign: KeyObject;
}

export function tokenKeys(): TokenKeys {
  const trusted = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const foreign = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const publicPem = trusted.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  return { publicPem, trusted: trusted.privateKey, foreign: foreign.privateKey };
}

type Claims = Readonly<Record<string, unknown>>;

function part(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** Three parts, signed with RS256 whatever the header says. */
export function signedToken(claims: Claims, key: KeyObject, header: Claims = { alg: 'RS256' }): string {
  const signed = `${part(header)}.${part(claims)}`;
  return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
}

/** Signed with HMAC, the public key's text as the secret. */
export function confusedToken(claims: Claims, publicPem: string): string {
  const signed = `${part({ alg: 'HS256' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', publicPem).update(signed).digest('base64url')}`;
}

export function unsignedToken(claims: Claims, alg = 'none'): string {
  return `${part({ alg })}.${part(claims)}.`;
}

/** Signing takes a millisecond, so what has to be signed is signed once; the rest is made from it. */
export class HostileTokens {
  readonly #whole: readonly string[];
  readonly #good: Claims;
  readonly #keys: TokenKeys;

  constructor(keys: TokenKeys, nowS: number) {
    const good = { iss: ISSUER, aud: AUDIENCE, sub: 'mallory', exp: nowS + 86_400 };
    this.#good = good;
    this.#keys = keys;
    const trusted = (claims: Claims, header?: Claims) =>
      signedToken({ ...good, ...claims }, keys.trusted, header);
    this.#whole = [
      trusted({}),
      trusted({ rooms: [{ match: 'hostile:plain', join: true }] }),
      trusted({ exp: nowS - 3600 }),
      trusted({ nbf: nowS + 3600 }),
      trusted({ exp: 'soon' }),
      trusted({ exp: 1e300 }),
      trusted({ iss: 'https://evil.example' }),
      trusted({ aud: ['someone', 'else'] }),
      trusted({ sub: '' }),
      trusted({ sub: 7 }),
      trusted({ sub: 'x'.repeat(101) }),
      trusted({ sub: 'a*b\u0000' }),
      trusted({ rooms: 'all' }),
      trusted({ rooms: Array.from({ length: 101 }, () => ({ match: '*' })) }),
      trusted({ rooms: [{ match: 7, join: 'yes' }] }),
      trusted({ info: 'x'.repeat(8000) }),
      trusted({}, { alg: 'RS256', crit: ['x'], x: 1 }),
      trusted({}, { alg: 'RS256', b64: false, crit: ['b64'] }),
      trusted(
        {},
        { alg: 'RS256', kid: '../../etc/passwd', jku: 'http://127.0.0.1:1/', x5u: 'http://127.0.0.1:1/' },
      ),
      trusted({}, { alg: 'PS256' }),
      signedToken(good, keys.foreign),
      signedToken(good, keys.foreign, { alg: 'RS256', jwk: { kty: 'RSA', n: 'AQAB', e: 'AQAB' } }),
    ];
  }

  next(random: Random): string {
    if (random.next() < 0.35) return random.pick(this.#whole);
    const [header, claims, signature] = random.pick(this.#whole).split('.') as [string, string, string];
    return random.pick<() => string>([
      () => unsignedToken(this.#good, random.pick(['none', 'None', 'NONE', '', 'HS256'])),
      () => confusedToken(this.#good, this.#keys.publicPem),
      () => `${header}.${part({ ...this.#good, sub: `user${random.whole(0, 999)}` })}.${signature}`,
      () => `${header}.${claims}.`,
      () => `${header}.${claims}`,
      () => `${header}.${claims}.${signature}.${signature}.${signature}`,
      () => `${claims}.${header}.${signature}`,
      () => `.${'.'.repeat(random.whole(0, 6))}`,
      () => `${header}.${'A'.repeat(random.pick([1, 2000, 12_000]))}.${signature}`,
      () => random.bytes(random.whole(1, 100)).toString('base64url'),
      () =>
        mutated(Buffer.from(`${header}.${claims}.${signature}`), random)
          .toString('latin1')
          .replace(/[\0-\x20\x7f]/g, '-'),
    ])();
  }
}

/** As it is, in a header line, a query or a JSON text. */
export type Presented =
  | { readonly via: 'http'; readonly bytes: Buffer }
  | { readonly via: 'json'; readonly bytes: Buffer };

export function presented(token: string, random: Random): Presented {
  const bearer = `Authorization: Bearer ${token}`;
  const query = `?token=${random.next() < 0.5 ? encodeURIComponent(token) : token}`;
  const room = random.pick(['hostile:plain', 'hostile:users']);
  const http = (bytes: Buffer): Presented => ({ via: 'http', bytes });
  return random.pick<() => Presented>([
    () => http(upgradeWith([bearer])),
    () => http(upgradeWith([], `/ws${query}`)),
    () => http(requestWith(`GET /v1/rooms/${room}/events`, [bearer])),
    () => http(requestWith(`GET /v1/rooms/${room}/events${query}`, [])),
    () => http(requestWith(`POST /v1/rooms/${room}/messages`, [bearer], '{"data":1}')),
    () => http(requestWith(`POST /v1/rooms/${room}/messages${query}`, [], '{"data":1}')),
    () => {
      const frame = JSON.stringify(['auth', random.whole(0, 9), token.slice(0, 20_000)]);
      return { via: 'json', bytes: maskedFrame(OPCODE.text, Buffer.from(frame)).bytes };
    },
  ])();
}

function requestWith(line: string, headers: readonly string[], body = ''): Buffer {
  const length = body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
  const lines = [`${line} HTTP/1.1`, 'Host: localhost', ...headers, ...length, '', body];
  return Buffer.from(lines.join('\r\n'), 'latin1');
}
