import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkKeySet } from '../../src/cli/doctor/key-set.ts';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { ed25519Pair, KeyServer, rsaPair } from '../support/key-server.ts';

let server: KeyServer;

beforeEach(async () => {
  server = await KeyServer.start();
});

afterEach(() => server.stop());

function config(env: Readonly<Record<string, string>> = {}): Config {
  const loaded = loadConfig({ env: { ROOMCAST_AUTH_JWKS_URL: `${server.url.href}?code=hush`, ...env } });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return loaded.config;
}

async function lines(of: Config): Promise<string[]> {
  return (await checkKeySet(of)).map(({ level, says }) => `${level}: ${says}`);
}

describe('the check of the key set', () => {
  it('finds nothing where there is none', async () => {
    expect(await lines(config({ ROOMCAST_AUTH_JWKS_URL: '' }))).toEqual([]);
  });

  it('says what its keys can do, and which are not used', async () => {
    server.publish(rsaPair({ alg: 'RS256' }), rsaPair({ kid: 'short' }, 1024), ed25519Pair());
    const found = await lines(config());
    expect(found).toEqual([
      `ok: ${server.url.href} answers with 2 usable keys: RS256, EdDSA, Ed25519`,
      'warning: a key cannot be used: kid short: an RSA key must have at least 2048 bits, got 1024',
    ]);
  });

  it('names URL and status where it cannot be had', async () => {
    server.status = 404;
    expect(await lines(config())).toEqual([
      `problem: cannot use ${server.url.href}: it answered 404 Not Found; clients get unavailable`,
    ]);
  });

  it('finds algorithms that no key can do', async () => {
    server.publish(rsaPair({ alg: 'RS256' }));
    expect(await lines(config({ ROOMCAST_AUTH_ALGORITHMS: 'ES256, RS512' }))).toEqual([
      'problem: none of its keys supports ES256, RS512: every token will be refused',
    ]);
  });
});
