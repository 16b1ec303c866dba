import type { KeyObject } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type TokenAuthenticator,
  type TokenOptions,
  tokenAuthenticator,
} from '../../src/auth/authenticator.ts';
import { type Authenticator, AuthFailure } from '../../src/auth/identity.ts';
import type { LogFields, Logger } from '../../src/util/log.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { ed25519Pair, type KeyPair, KeyServer, rsaPair } from '../support/key-server.ts';
import { secondsFromNow, token } from '../support/tokens.ts';
import { waitFor } from '../support/wait.ts';

const MINUTE_MS = 60_000;
/** More than the time between two fetches that unknown keys cause. */
const AFTER_REFETCH_MS = 5001;
/** More than the longest wait after a failure. */
const AFTER_BACKOFF_MS = 30_001;

let server: KeyServer;
let clock: FakeClock;
let logged: { level: string; message: string; fields: LogFields }[];

beforeEach(async () => {
  server = await KeyServer.start();
  clock = new FakeClock();
  logged = [];
});

afterEach(() => server.stop());

function authenticator(options: Partial<TokenOptions> = {}): TokenAuthenticator {
  const note =
    (level: string) =>
    (fields: LogFields, message: string): void => {
      logged.push({ level, message, fields });
    };
  const log: Logger = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
  const nothing = { secret: null, publicKeyFile: null, issuer: null, audience: null, algorithms: [] };
  return tokenAuthenticator({ ...nothing, jwksUrl: server.url.href, ...options }, { clock, log })!;
}

interface Signer {
  readonly alg?: string;
  readonly kid?: string;
}

function signed(key: KeyObject, { alg = 'RS256', kid }: Signer = {}): Promise<string> {
  return token({ sub: 'ann' }, { alg, key, ...(kid === undefined ? {} : { kid }) });
}

/** The user, or the code of the failure. Any other outcome is an error. */
async function outcome(by: Authenticator, text: string | Promise<string>): Promise<string> {
  try {
    return (await by.authenticate(await text)).user;
  } catch (error) {
    if (!(error instanceof AuthFailure)) throw error;
    if (error.code === 'unavailable') expect(error.retryAfterMs).toBeGreaterThan(0);
    return error.code;
  }
}

function outcomes(by: Authenticator, texts: readonly (string | Promise<string>)[]): Promise<string[]> {
  return Promise.all(texts.map((text) => outcome(by, text)));
}

const messages = (): string[] => logged.map(({ level, message }) => `${level}: ${message}`);

describe('keys that several tokens need', () => {
  it('are fetched once, also for those that come while they are on their way', async () => {
    const pair = rsaPair({ kid: 'a' });
    server.publish(pair);
    const by = authenticator();
    const text = await signed(pair.privateKey, { kid: 'a' });
    expect(await outcomes(by, Array(20).fill(text))).toEqual(Array(20).fill('ann'));
    expect(server.asked).toBe(1);
    expect(logged).toEqual([]);
  });

  it('may be fetched ahead of them', async () => {
    server.publish(rsaPair());
    await authenticator().prepare();
    expect(server.asked).toBe(1);
  });

  it('are fetched anew after ten minutes without making anyone wait', async () => {
    const [old, young] = [rsaPair({ kid: 'a' }), rsaPair({ kid: 'b' })] as const;
    server.publish(old);
    const by = authenticator();
    const text = await signed(old.privateKey, { kid: 'a' });
    expect(await outcome(by, text)).toBe('ann');
    clock.advance(10 * MINUTE_MS);
    server.publish(young);
    server.hold();
    expect(await outcome(by, text)).toBe('ann');
    server.release();
    // Waits for the fetch that is under way, as its key yet.
    expect(await outcome(by, signed(young.privateKey, { kid: 'b' }))).toBe('ann');
    expect(server.asked).toBe(2);
  });
});

describe('a token without a key id', () => {
  it('is tried with every key that it may have been signed with', async () => {
    const pairs = [rsaPair({ kid: 'a' }), rsaPair(), rsaPair({ alg: 'RS256' }), ed25519Pair()];
    server.publish(...pairs);
    const by = authenticator();
    const texts = pairs.slice(0, 3).map(({ privateKey }) => signed(privateKey));
    expect(await outcomes(by, texts)).toEqual(['ann', 'ann', 'ann']);
    expect(await outcome(by, signed(pairs[3]!.privateKey, { alg: 'EdDSA' }))).toBe('ann');
  });

  it('is tried with eight keys at most: what a forged one costs is bounded', async () => {
    const pairs = Array.from({ length: 9 }, () => ed25519Pair());
    server.publish(...pairs);
    const by = authenticator();
    const signedBy = (index: number) => signed(pairs[index]!.privateKey, { alg: 'EdDSA' });
    expect(await outcome(by, signedBy(7))).toBe('ann');
    expect(await outcome(by, signedBy(8))).toBe('unauthorized');
  });

  it('of none of the keys is refused, and its claims count with any of them', async () => {
    const [first, second] = [rsaPair(), rsaPair()] as const;
    server.publish(first, second);
    const by = authenticator();
    expect(await outcome(by, signed(rsaPair().privateKey))).toBe('unauthorized');
    const expired = token({ sub: 'ann', exp: secondsFromNow(-60) }, { alg: 'RS256', key: second.privateKey });
    expect(await outcome(by, expired)).toBe('token_expired');
    expect(server.asked).toBe(1);
  });

  it('of a new key costs one fetch, where keys have no ids at all', async () => {
    const [old, young] = [rsaPair(), rsaPair()] as const;
    server.publish(old);
    const by = authenticator();
    expect(await outcome(by, signed(old.privateKey))).toBe('ann');
    clock.advance(AFTER_REFETCH_MS);
    server.publish(young);
    expect(await outcome(by, signed(young.privateKey))).toBe('ann');
    expect(server.asked).toBe(2);
  });
});

describe('the two names of one algorithm', () => {
  it.each([
    ['Ed25519', 'EdDSA'],
    ['EdDSA', 'Ed25519'],
    [undefined, 'EdDSA'],
    [undefined, 'Ed25519'],
  ])('are both accepted: the key says %s, the token %s', async (keyAlg, alg) => {
    const pair = ed25519Pair({ kid: 'a', ...(keyAlg === undefined ? {} : { alg: keyAlg }) });
    server.publish(pair);
    for (const kid of ['a', undefined]) {
      const text = signed(pair.privateKey, kid === undefined ? { alg } : { alg, kid });
      expect(await outcome(authenticator(), text)).toBe('ann');
      expect(await outcome(authenticator({ algorithms: ['EdDSA'] }), text)).toBe('ann');
      expect(await outcome(authenticator({ algorithms: ['Ed25519'] }), text)).toBe('ann');
    }
  });

  it('are no way around the algorithms of other keys', async () => {
    const pair = rsaPair({ kid: 'a', alg: 'RS512' });
    server.publish(pair);
    const by = authenticator();
    expect(await outcome(by, signed(pair.privateKey, { kid: 'a', alg: 'RS512' }))).toBe('ann');
    expect(await outcome(by, signed(pair.privateKey, { kid: 'a', alg: 'RS256' }))).toBe('unauthorized');
  });
});

describe('a rotation', () => {
  let pairs: Record<'a' | 'b' | 'c', KeyPair>;
  let by: Authenticator;
  const of = (kid: 'a' | 'b' | 'c') => signed(pairs[kid].privateKey, { kid });

  beforeEach(async () => {
    pairs = { a: rsaPair({ kid: 'a' }), b: rsaPair({ kid: 'b' }), c: rsaPair({ kid: 'c' }) };
    server.publish(pairs.a);
    by = authenticator();
    expect(await outcome(by, of('a'))).toBe('ann');
  });

  it('costs one fetch, right after another too, whoever comes meanwhile', async () => {
    server.publish(pairs.b);
    expect(
      await outcomes(
        by,
        Array.from({ length: 20 }, () => of('b')),
      ),
    ).toEqual(Array(20).fill('ann'));
    expect(await outcome(by, of('a'))).not.toBe('ann');
    expect(server.asked).toBe(2);
  });

  it('that follows another at once makes its users wait for seconds, and turns none of them away', async () => {
    server.publish(pairs.b);
    expect(await outcome(by, of('b'))).toBe('ann');
    server.publish(pairs.b, pairs.c);
    expect(await outcome(by, of('c'))).toBe('unavailable');
    clock.advance(AFTER_REFETCH_MS);
    expect(await outcome(by, of('c'))).toBe('ann');
    expect(server.asked).toBe(3);
  });

  it('is not made impossible by a flood of invented key ids, which costs a fetch in five seconds', async () => {
    const flood = await Promise.all(
      Array.from({ length: 50 }, (_, n) => signed(pairs.c.privateKey, { kid: `invented-${n}` })),
    );
    expect(new Set(await outcomes(by, flood))).toEqual(new Set(['unauthorized']));
    expect(server.asked).toBe(2);
    server.publish(pairs.b);
    expect(new Set(await outcomes(by, [...flood, of('b')]))).toEqual(new Set(['unavailable']));
    expect(server.asked).toBe(2);
    clock.advance(AFTER_REFETCH_MS);
    expect((await outcomes(by, [...flood, of('b')])).at(-1)).toBe('ann');
    expect(server.asked).toBe(3);
  });

  it('whose fetch fails turns nobody away who may be right, and leaves known keys as they are', async () => {
    server.status = 500;
    expect(await outcome(by, of('b'))).toBe('unavailable');
    expect(await outcome(by, of('a'))).toBe('ann');
    server.publish(pairs.b);
    clock.advance(AFTER_REFETCH_MS);
    expect(await outcome(by, of('b'))).toBe('ann');
  });
});

describe('keys that are loaded anew', () => {
  it('are fetched at once; a set that cannot be fetched then leaves the present keys as they are', async () => {
    const [old, young] = [rsaPair({ kid: 'a' }), rsaPair({ kid: 'b' })] as const;
    server.publish(old);
    const by = authenticator();
    const options = { secret: null, publicKeyFile: null, issuer: null, audience: null, algorithms: [] };
    const text = await signed(old.privateKey, { kid: 'a' });
    expect(await outcome(by, text)).toBe('ann');
    server.status = 500;
    by.reload({ ...options, jwksUrl: server.url.href });
    await waitFor(() => logged.length === 1, { for: 'the fetch to fail' });
    expect(await outcome(by, text)).toBe('ann');
    server.publish(young);
    by.reload({ ...options, jwksUrl: server.url.href });
    expect(await outcome(by, signed(young.privateKey, { kid: 'b' }))).toBe('ann');
    expect(await outcome(by, text)).not.toBe('ann');
    const other = await KeyServer.start();
    other.publish(old);
    by.reload({ ...options, jwksUrl: other.url.href });
    expect(await outcome(by, text)).toBe('ann');
    await other.stop();
  });
});

describe('a key server that fails', () => {
  const key = rsaPair({ kid: 'a' });
  const text = () => signed(key.privateKey, { kid: 'a' });

  it('is asked less and less often, and is in the log once when it fails and once when it is back', async () => {
    server.status = 404;
    const by = authenticator();
    const stranger = rsaPair().privateKey;
    const junk = await Promise.all(Array.from({ length: 50 }, (_, n) => signed(stranger, { kid: `${n}` })));
    expect(new Set(await outcomes(by, junk))).toEqual(new Set(['unavailable']));
    expect(server.asked).toBe(1);
    // An hour of a token a second: each wait is at least half of its step.
    for (let second = 0; second < 3600; second++) {
      clock.advance(1000);
      expect(await outcome(by, junk[0]!)).toBe('unavailable');
    }
    expect(server.asked).toBeGreaterThan(3600 / 31);
    expect(server.asked).toBeLessThan(3600 / 14);
    expect(logged).toEqual([
      {
        level: 'error',
        message: 'cannot fetch the key set',
        fields: { url: server.url.href, reason: 'it answered 404 Not Found' },
      },
    ]);
    server.publish(key);
    clock.advance(AFTER_BACKOFF_MS);
    expect(await outcome(by, text())).toBe('ann');
    expect(messages()).toEqual(['error: cannot fetch the key set', 'info: key set fetched again']);
  });

  it.each([
    ['a page', () => Object.assign(server, { body: '<html>' }), /its answer is not JSON/],
    ['no set', () => Object.assign(server, { body: { key: 1 } }), /no list named keys/],
    ['no keys', () => Object.assign(server, { body: { keys: [] } }), /has no key that can check signatures/],
    ['a redirect', () => Object.assign(server, { status: 302 }), /it answered 302/],
    ['too much', () => Object.assign(server, { body: ' '.repeat(2_000_000) }), /larger than 1048576 bytes/],
  ])('answers %s: that is said, with the URL, and nothing of the token', async (_, breakIt, reason) => {
    breakIt();
    const by = authenticator();
    const junk = await text();
    expect(await outcome(by, junk)).toBe('unavailable');
    expect(logged).toHaveLength(1);
    expect(logged[0]!.fields).toEqual({ url: server.url.href, reason: expect.stringMatching(reason) });
    expect(JSON.stringify(logged)).not.toContain(junk.split('.')[0]);
  });

  it('cannot be reached: the log says what the network said, and leaves out what the URL may keep secret', async () => {
    const gone = await KeyServer.start();
    const { href } = gone.url;
    await gone.stop();
    const by = authenticator({ jwksUrl: `${href}?code=hush` });
    expect(await outcome(by, text())).toBe('unavailable');
    expect(logged[0]!.fields).toEqual({ url: href, reason: expect.stringContaining('ECONNREFUSED') });
  });

  it('does not trouble the users of keys that are known, for an hour', async () => {
    server.publish(key);
    const by = authenticator();
    expect(await outcome(by, text())).toBe('ann');
    server.status = 503;
    for (let minute = 1; minute < 60; minute++) {
      clock.advance(MINUTE_MS);
      expect(await outcome(by, text())).toBe('ann');
    }
    clock.advance(MINUTE_MS);
    expect(await outcome(by, text())).toBe('unavailable');
    expect(messages()).toEqual(['error: cannot fetch the key set']);
  });

  it('is not asked for tokens that no key could make good', async () => {
    server.status = 500;
    const by = authenticator();
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.e30.`;
    expect(await outcomes(by, ['nonsense', unsigned, await token({ sub: 'ann' })])).toEqual(
      Array(3).fill('unauthorized'),
    );
    expect(server.asked).toBe(0);
  });
});

describe('a key set with keys that are of no use', () => {
  it('works with the others; what is wrong is in the log once', async () => {
    const good = rsaPair({ kid: 'good' });
    const short = rsaPair({ kid: 'short' }, 1024);
    const leaked = rsaPair({ kid: 'leaked' });
    const foreign = { kty: 'XYZ', kid: 'foreign' };
    const forEncryption = rsaPair({ kid: 'enc', use: 'enc' });
    server.body = {
      keys: [
        short.jwk,
        { ...leaked.jwk, d: leaked.privateKey.export({ format: 'jwk' }).d },
        foreign,
        'nonsense',
        forEncryption.jwk,
        good.jwk,
      ],
    };
    const by = authenticator();
    expect(await outcome(by, signed(good.privateKey, { kid: 'good' }))).toBe('ann');
    expect(await outcome(by, signed(leaked.privateKey, { kid: 'leaked' }))).toBe('unauthorized');
    clock.advance(AFTER_REFETCH_MS);
    expect(await outcome(by, signed(forEncryption.privateKey, { kid: 'enc' }))).toBe('unauthorized');
    expect(server.asked).toBe(3);
    expect(messages()).toEqual(['warn: the key set has keys that cannot be used']);
    expect(logged[0]!.fields.unusable).toBe(
      [
        'kid short: an RSA key must have at least 2048 bits, got 1024',
        'kid leaked: it is a secret key and must not be published',
        'kid foreign: it is not a public key',
        'keys[3]: it is not a public key',
      ].join('; '),
    );
  });
});
