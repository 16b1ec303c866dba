import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type TokenOptions, tokenAuthenticator } from '../../src/auth/authenticator.ts';
import { type Authenticator, AuthFailure, type Identity } from '../../src/auth/identity.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { SECRET, secondsFromNow, secretKey, type TokenSettings, token } from '../support/tokens.ts';

const NOTHING: TokenOptions = {
  secret: null,
  publicKeyFile: null,
  jwksUrl: null,
  issuer: null,
  audience: null,
  algorithms: [],
};

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'roomcast-auth-'));
});

afterAll(() => rmSync(folder, { recursive: true }));

function authenticator(options: Partial<TokenOptions>): Authenticator {
  const made = tokenAuthenticator({ ...NOTHING, ...options });
  if (made === null) throw new Error('no authentication is configured');
  return made;
}

interface Pair {
  readonly privateKey: KeyObject;
  readonly pem: string;
  readonly publicKeyFile: string;
}

let files = 0;

function write(text: string): string {
  const path = join(folder, `${++files}.pem`);
  writeFileSync(path, text);
  return path;
}

const KINDS: Readonly<Record<string, () => { publicKey: KeyObject; privateKey: KeyObject }>> = {
  rsa: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  'short-rsa': () => generateKeyPairSync('rsa', { modulusLength: 1024 }),
  p256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  p521: () => generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  secp256k1: () => generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
  ed25519: () => generateKeyPairSync('ed25519'),
  ed448: () => generateKeyPairSync('ed448'),
};

const pairs = new Map<string, Pair>();

/** The pair of a kind, and of another name another one. Made once: RSA takes up to a second. */
function keyPair(kind: string, name = 'first'): Pair {
  const pair = pairs.get(kind + name) ?? newKeyPair(kind);
  pairs.set(kind + name, pair);
  return pair;
}

function newKeyPair(kind: string): Pair {
  const { publicKey, privateKey } = KINDS[kind]!();
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  return { privateKey, pem, publicKeyFile: write(pem) };
}

/** The code of the failure that a token is refused with. Any other outcome is an error. */
async function refusal(by: Authenticator, text: string): Promise<string> {
  const outcome: unknown = await by.authenticate(text).catch((error: unknown) => error);
  if (!(outcome instanceof AuthFailure)) throw new Error('not refused as it should be', { cause: outcome });
  // What is shorter can be a word of the sentence.
  if (text.length > 20) expect(outcome.message).not.toContain(text);
  return outcome.code;
}

describe('a token signed with the shared secret', () => {
  it.each(['HS256', 'HS384', 'HS512'])('of %s says who its owner is', async (alg) => {
    const exp = secondsFromNow(60);
    const claims = { sub: 'ann', exp, info: { name: 'Ann' } };
    const identity = await authenticator({ secret: SECRET }).authenticate(await token(claims, { alg }));
    expect(identity).toMatchObject({ user: 'ann', info: { name: 'Ann' }, expiresAtMs: exp * 1000 });
  });

  it('need not expire', async () => {
    const identity = await authenticator({ secret: SECRET }).authenticate(await token({ sub: 'ann' }));
    expect(identity.expiresAtMs).toBeNull();
    expect(identity).not.toHaveProperty('info');
  });

  it('is refused with another secret, unsigned, cut short or tampered with', async () => {
    const by = authenticator({ secret: SECRET });
    const good = await token({ sub: 'ann' });
    const [head, , signature] = good.split('.') as [string, string, string];
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const bad = [
      await token({ sub: 'ann' }, { key: secretKey('another secret, of more than 32 bytes') }),
      `${encode({ alg: 'none' })}.${encode({ sub: 'ann' })}.`,
      `${head}.${encode({ sub: 'bob' })}.${signature}`,
      good.slice(0, -5),
      `${head}..${signature}`,
      'not a token',
      '',
    ];
    for (const text of bad) expect(await refusal(by, text)).toBe('unauthorized');
  });

  it('is refused unsigned, however that is written, and where it names a key or rules of its own', async () => {
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const { privateKey, publicKeyFile } = keyPair('rsa');
    const by = [authenticator({ secret: SECRET }), authenticator({ publicKeyFile })];
    const [, , signature] = (await token({ sub: 'ann' })).split('.');
    for (const alg of ['none', 'None', 'NONE', 'nOnE', '', null, 0, ['HS256'], undefined]) {
      for (const end of ['', signature]) {
        const text = `${encode({ alg })}.${encode({ sub: 'ann' })}.${end}`;
        for (const one of by) expect(await refusal(one, text)).toBe('unauthorized');
      }
    }
    const other = keyPair('rsa', 'second');
    const jwk = createPublicKey(other.pem).export({ format: 'jwk' });
    const headers = [{ jwk }, { jku: 'http://127.0.0.1:1/' }, { crit: ['exp'], exp: 1 }];
    for (const header of headers) {
      const forged = new SignJWT({ sub: 'ann' }).setProtectedHeader({ alg: 'RS256', ...header } as never);
      // What must be understood is not, even with the right key.
      const key = 'crit' in header ? privateKey : other.privateKey;
      const text = await forged.sign(key, { crit: { exp: true } });
      expect(await refusal(by[1]!, text)).toBe('unauthorized');
    }
  });

  it('has an id that it can be revoked by, where that is text or a number, and not too long', async () => {
    const by = authenticator({ secret: SECRET });
    const idOf = async (jti: unknown) =>
      (await by.authenticate(await token({ sub: 'ann', jti: jti as string }))).tokenId;
    expect(await idOf('login-17')).toBe('login-17');
    expect(await idOf(17)).toBe('17');
    expect(await idOf('x'.repeat(256))).toHaveLength(256);
    expect(await idOf(Number.MAX_SAFE_INTEGER)).toBe('9007199254740991');
    // What two tokens could share is none, and what Redis would not give back as it was.
    const unsafe = [2 ** 53, 1.5, 'x\ud800'];
    for (const none of [undefined, '', {}, 'x'.repeat(257), ...unsafe])
      expect(await idOf(none)).toBeUndefined();
  });

  it('is told in plain words when it is no token at all', async () => {
    const by = authenticator({ secret: SECRET });
    await expect(by.authenticate('not a token')).rejects.toThrow(
      'the token was refused: it is no JSON Web Token, which has three parts in base64url, separated by dots',
    );
  });

  it('is refused, never more than that, whatever it is made of', async () => {
    const by = authenticator({ secret: SECRET });
    const [head, payload, signature] = (await token({ sub: 'ann' })).split('.') as [string, string, string];
    const part = fc.oneof(
      fc.constantFrom('', head, payload, signature),
      fc.json().map((json) => Buffer.from(json).toString('base64url')),
      fc
        .record({ alg: fc.constantFrom('HS256', 'RS256', 'none'), crit: fc.jsonValue(), b64: fc.jsonValue() })
        .map((header) => Buffer.from(JSON.stringify(header)).toString('base64url')),
      fc.string(),
    );
    const text = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('.'));
    await fc.assert(
      fc.asyncProperty(text, async (made) => {
        fc.pre(made !== `${head}.${payload}.${signature}`);
        expect(await refusal(by, made)).toBe('unauthorized');
      }),
      { numRuns: 500 },
    );
  });

  it('expires by the clock that is handed in', async () => {
    const clock = new FakeClock();
    const options = { publicKeyFile: null, jwksUrl: null, issuer: null, audience: null, algorithms: [] };
    const authenticator = tokenAuthenticator({ secret: SECRET, ...options }, { clock })!;
    const presented = await token({ sub: 'ann', exp: Math.floor(clock.wallMs() / 1000) + 60 });
    await authenticator.authenticate(presented);
    clock.advance(66_000);
    await expect(authenticator.authenticate(presented)).rejects.toMatchObject({ code: 'token_expired' });
  });

  it('is refused once it has expired, with five seconds of grace, or before its time', async () => {
    vi.useFakeTimers({ now: Date.UTC(2030, 0, 1), toFake: ['Date'] });
    try {
      const by = authenticator({ secret: SECRET });
      const accepted = await by.authenticate(await token({ sub: 'ann', exp: secondsFromNow(-4) }));
      expect(accepted.user).toBe('ann');
      expect(await refusal(by, await token({ sub: 'ann', exp: secondsFromNow(-5) }))).toBe('token_expired');
      expect((await by.authenticate(await token({ sub: 'ann', nbf: secondsFromNow(5) }))).user).toBe('ann');
      const early = await token({ sub: 'ann', nbf: secondsFromNow(6) });
      expect(await refusal(by, early)).toBe('unauthorized');
      await expect(by.authenticate(early)).rejects.toThrow('the token is not valid yet: its nbf lies ahead');
    } finally {
      vi.useRealTimers();
    }
  });

  it.each([
    ['another issuer', { iss: 'other', aud: 'roomcast' }],
    ['no issuer', { aud: 'roomcast' }],
    ['another audience', { iss: 'id.example', aud: ['a', 'b'] }],
    ['no audience', { iss: 'id.example' }],
  ])('is refused with %s', async (_, claims) => {
    const by = authenticator({ secret: SECRET, issuer: 'id.example', audience: 'roomcast' });
    expect(await refusal(by, await token({ sub: 'ann', ...claims }))).toBe('unauthorized');
    const good = { sub: 'ann', iss: 'id.example', aud: ['x', 'roomcast'] };
    expect(await by.authenticate(await token(good))).toMatchObject({ user: 'ann' });
  });

  it.each([undefined, '', 7, 'x'.repeat(101), 'ü'.repeat(51)])('is refused with the sub %j', async (sub) => {
    const by = authenticator({ secret: SECRET });
    const claims = { ...(sub === undefined ? {} : { sub }) } as { sub?: string };
    expect(await refusal(by, await token(claims))).toBe('unauthorized');
    const longest = await token({ sub: 'ü'.repeat(50) });
    expect(await by.authenticate(longest)).toMatchObject({ user: 'ü'.repeat(50) });
  });
});

describe('a rotation', () => {
  const NEW = 'the next secret of the tests, of 32 bytes';
  const old = () => token({ sub: 'ann' });
  const young = () => token({ sub: 'ann' }, { key: secretKey(NEW) });

  it('has tokens of the old secret and of the new one accepted, and of no other', async () => {
    const by = authenticator({ secret: NEW, oldSecrets: [SECRET] });
    for (const text of [await old(), await young()]) expect((await by.authenticate(text)).user).toBe('ann');
    expect(await refusal(by, await token({ sub: 'ann' }, { key: secretKey(`${SECRET}!`) }))).toBe(
      'unauthorized',
    );
    expect(await refusal(by, await token({ sub: 'ann', exp: 1 }))).toBe('token_expired');
  });

  it('needs no restart: keys are loaded anew, and what cannot be used changes nothing', async () => {
    const by = tokenAuthenticator({ ...NOTHING, secret: SECRET })!;
    by.reload({ ...NOTHING, secret: NEW, oldSecrets: [SECRET] });
    for (const text of [await old(), await young()]) expect((await by.authenticate(text)).user).toBe('ann');
    by.reload({ ...NOTHING, secret: NEW });
    expect(await refusal(by, await old())).toBe('unauthorized');
    expect(() => by.reload(NOTHING)).toThrow('the settings no longer name a key');
    expect(() => by.reload({ ...NOTHING, publicKeyFile: write('hello') })).toThrow('no public key in PEM');
    expect(() => by.reload({ ...NOTHING, secret: NEW, algorithms: ['RS256'] })).toThrow('auth.algorithms');
    expect((await by.authenticate(await young())).user).toBe('ann');
  });

  it('has several public keys in one file, of different kinds', async () => {
    const pairs = [keyPair('rsa'), keyPair('rsa', 'second'), keyPair('p256')];
    const publicKeyFile = write(pairs.map(({ pem }) => pem).join('\n'));
    const by = tokenAuthenticator({ ...NOTHING, publicKeyFile })!;
    for (const [index, alg] of ['RS256', 'PS256', 'ES256'].entries()) {
      const text = await token({ sub: 'ann' }, { alg, key: pairs[index]!.privateKey });
      expect((await by.authenticate(text)).user).toBe('ann');
    }
    const stranger = await token({ sub: 'ann' }, { alg: 'ES256', key: keyPair('p256', 'other').privateKey });
    expect(await refusal(by, stranger)).toBe('unauthorized');
    const bad = write(`${keyPair('rsa').pem}\n${keyPair('short-rsa').pem}`);
    expect(() => authenticator({ publicKeyFile: bad })).toThrow(
      /key 2 of \S+: an RSA key must have at least 2048/,
    );
    // Half written: the keys before must not be taken for all of them.
    const cut = write(`${pairs[0]!.pem}\n${pairs[1]!.pem.slice(0, 60)}`);
    expect(() => by.reload({ ...NOTHING, publicKeyFile: cut })).toThrow('ends within a key');
    expect(
      (await by.authenticate(await token({ sub: 'ann' }, { alg: 'PS256', key: pairs[1]!.privateKey }))).user,
    ).toBe('ann');
    const many = write(`${keyPair('p256').pem}\n`.repeat(9));
    expect(() => authenticator({ publicKeyFile: many })).toThrow('at most 8 keys, got 9');
  });
});

describe('a token signed with a private key', () => {
  it.each([
    ['rsa', ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']],
    ['p256', ['ES256']],
    ['p384', ['ES384']],
    ['p521', ['ES512']],
    ['ed25519', ['EdDSA', 'Ed25519']],
  ])('is accepted by the public key of its %s pair, and by no other', async (kind, algorithms) => {
    const { privateKey: key, publicKeyFile } = keyPair(kind);
    const by = authenticator({ publicKeyFile });
    const other = authenticator({ publicKeyFile: keyPair(kind, 'second').publicKeyFile });
    for (const alg of algorithms) {
      const text = await token({ sub: 'ann' }, { alg, key });
      expect(await by.authenticate(text)).toMatchObject({ user: 'ann' });
      expect(await refusal(other, text)).toBe('unauthorized');
    }
  });

  it('is not to be confused with one for which the text of the public key was the secret', async () => {
    for (const kind of ['rsa', 'p256', 'ed25519']) {
      const { pem, publicKeyFile } = keyPair(kind);
      const by = authenticator({ publicKeyFile });
      for (const text of [pem, pem.trim()]) {
        const forged = await token({ sub: 'admin' }, { key: secretKey(text) });
        expect(await refusal(by, forged)).toBe('unauthorized');
      }
    }
  });

  it('is refused, and no fault of the node, where its algorithm is one of another kind of key', async () => {
    const p256 = authenticator({ publicKeyFile: keyPair('p256').publicKeyFile });
    const others: TokenSettings[] = [
      { alg: 'RS256', key: keyPair('rsa').privateKey },
      { alg: 'PS512', key: keyPair('rsa').privateKey },
      { alg: 'ES384', key: keyPair('p384').privateKey },
      { alg: 'EdDSA', key: keyPair('ed25519').privateKey },
    ];
    for (const settings of others) {
      expect(await refusal(p256, await token({ sub: 'ann' }, settings))).toBe('unauthorized');
    }
  });
});

describe('the algorithms', () => {
  it('that are accepted are those that are configured', async () => {
    const { privateKey: key, publicKeyFile } = keyPair('rsa');
    const by = authenticator({ publicKeyFile, algorithms: ['PS256', 'RS512'] });
    for (const alg of ['PS256', 'RS512']) {
      expect(await by.authenticate(await token({ sub: 'ann' }, { alg, key }))).toMatchObject({ user: 'ann' });
    }
    expect(await refusal(by, await token({ sub: 'ann' }, { alg: 'RS256', key }))).toBe('unauthorized');
  });

  it.each([
    [
      'HS256 for a public key',
      () => ({ publicKeyFile: keyPair('rsa').publicKeyFile, algorithms: ['HS256'] }),
    ],
    ['ES256 for an RSA key', () => ({ publicKeyFile: keyPair('rsa').publicKeyFile, algorithms: ['ES256'] })],
    ['RS256 for a secret', () => ({ secret: SECRET, algorithms: ['HS256', 'RS256'] })],
    ['HS256 for a key set', () => ({ jwksUrl: 'http://127.0.0.1:1/', algorithms: ['HS256'] })],
  ])('are refused at start where they do not fit the key: %s', (_, options) => {
    expect(() => authenticator(options())).toThrow(
      /^auth\.algorithms: cannot use [HER]S256 with this kind of key/,
    );
  });
});

describe('a key', () => {
  it('need not be there: then there is no authentication', () => {
    expect(tokenAuthenticator(NOTHING)).toBeNull();
  });

  it.each([
    ['a short RSA key', () => keyPair('short-rsa').publicKeyFile, /must have at least 2048 bits, got 1024/],
    ['an unknown curve', () => keyPair('secp256k1').publicKeyFile, /curve secp256k1 are not supported/],
    ['an unknown type', () => keyPair('ed448').publicKeyFile, /type ed448 are not supported/],
    ['no key', () => write('hello'), /cannot use \S+: it has no public key in PEM$/],
  ])('of no use is refused at start with a sentence: %s', (_, file, problem) => {
    expect(() => authenticator({ publicKeyFile: file() })).toThrow(problem);
  });

  it('is one, not several', () => {
    const several = { secret: SECRET, jwksUrl: 'http://127.0.0.1:1/' };
    expect(() => authenticator(several)).toThrow('set only one of');
  });
});

describe('the rooms claim', () => {
  const identityWith = async (rooms: unknown): Promise<Identity> =>
    authenticator({ secret: SECRET }).authenticate(await token({ sub: 'ann', rooms }));

  it('is not a restriction where it is absent', async () => {
    const { permissions } = await authenticator({ secret: SECRET }).authenticate(await token({ sub: 'ann' }));
    expect([permissions.allows('join', 'any'), permissions.allows('publish', 'any')]).toEqual([true, true]);
  });

  it('permits what the first grant that matches says, and nothing else', async () => {
    const { permissions } = await identityWith([
      { match: 'chat:staff', join: true },
      { match: 'chat:*', join: true, publish: true },
      { match: 'news:*', join: true, publish: 'yes' },
    ]);
    const may = (room: string) => [permissions.allows('join', room), permissions.allows('publish', room)];
    expect(may('chat:staff')).toEqual([true, false]);
    expect(may('chat:lobby')).toEqual([true, true]);
    expect(may('news:today')).toEqual([true, false]);
    expect(may('other')).toEqual([false, false]);
  });

  it('permits nothing where it is empty', async () => {
    const { permissions } = await identityWith([]);
    expect([permissions.allows('join', 'a'), permissions.allows('publish', 'a')]).toEqual([false, false]);
  });

  it.each([null, {}, 'chat:*', [null], ['chat:*'], [{ join: true }], Array(101).fill({ match: 'a' })])(
    'has the token refused where it is malformed: %j',
    async (rooms) => {
      const text = await token({ sub: 'ann', rooms });
      expect(await refusal(authenticator({ secret: SECRET }), text)).toBe('unauthorized');
    },
  );
});
