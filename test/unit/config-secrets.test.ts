/** Secrets inside settings that are none as a whole. */
import { expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { maskSecrets } from '../../src/config/mask.ts';

const SECRET = 'hush-hush';

it.each([`https://id.example.com/keys?api_key=${SECRET}`, `https://id.example.com/keys?a=1&sig=${SECRET}`])(
  'the URL of a key set is printed without what it carries: %s',
  (jwksUrl) => {
    const loaded = loadConfig({ settings: { auth: { jwksUrl } }, env: {} });
    if ('problems' in loaded) throw new Error(loaded.problems.join());
    const printed = JSON.stringify(maskSecrets(loaded.config));
    expect(printed).toContain('id.example.com');
    expect(printed).not.toContain(SECRET);
  },
);

it.each([
  ['ROOMCAST_AUTH_JWKS_URL', `htp://user:${SECRET}@id.example.com/`],
  ['ROOMCAST_AUTH_JWKS_URL', `https://user:${SECRET}@id.example.com/`],
])('no problem shows the password in %s=%s', (name, url) => {
  const loaded = loadConfig({ env: { [name]: url } });
  if (!('problems' in loaded)) throw new Error('it was taken');
  expect(loaded.problems.join()).toContain(name);
  expect(loaded.problems.join()).not.toContain(SECRET);
});

it('the URLs of a Redis Cluster are printed without their passwords', () => {
  const url = `redis://user:${SECRET}@a:7000,redis://user:${SECRET}@b:7001`;
  const loaded = loadConfig({ env: { REDIS_URL: url } });
  if ('problems' in loaded) throw new Error(loaded.problems.join());
  expect(maskSecrets(loaded.config).redis.url).toBe('redis://user:***@a:7000,redis://user:***@b:7001');
});

it('a secret that can be guessed is refused, by its bytes, with the way to make one', () => {
  const problems = (secret: string, oldSecrets: string[] = []) => {
    const loaded = loadConfig({ settings: { auth: { secret, oldSecrets } }, env: {} });
    return 'problems' in loaded ? loaded.problems : [];
  };
  const short = (bytes: number) =>
    `has ${bytes} bytes, and HS256 needs 32 or more: whoever has a token can guess a shorter one; make one with openssl rand -base64 32`;
  expect(problems('hush-hush')).toEqual([`settings auth.secret: ${short(9)}`]);
  expect(problems('x'.repeat(31))).toHaveLength(1);
  expect(problems('x'.repeat(32))).toEqual([]);
  expect(problems('é'.repeat(16))).toEqual([]);
  expect(problems('x'.repeat(32), ['y'.repeat(32), 'hush'])).toEqual([
    expect.stringMatching(/auth\.oldSecrets\[1\]: has 4 bytes/),
  ]);
});
