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
