import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNode } from '../../src/app/start-node.ts';
import type { Io } from '../../src/cli/io.ts';
import { run } from '../../src/cli/program.ts';
import { loadConfig } from '../../src/config/load.ts';
import { silentLog } from '../../src/util/log.ts';
import { NO_PIPES } from '../support/pipes.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'roomcast-start-'));
  for (const name of ['a', 'b']) {
    execFileSync(
      'openssl',
      `req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout ${name}.key -out ${name}.pem`.split(
        ' ',
      ),
      { cwd: folder, stdio: 'ignore' },
    );
  }
  execFileSync('openssl', 'rsa -aes256 -passout pass:hush -in a.key -out locked.key'.split(' '), {
    cwd: folder,
    stdio: 'ignore',
  });
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(at('rsa.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(at('words'), 'hello');
});

afterAll(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);

/** What a command prints on standard error, and how it ends. */
async function roomcast(
  line: string,
  env: Io['env'],
): Promise<{ exitCode: number; stderr: string; served: boolean }> {
  let stderr = '';
  let served = false;
  const exitCode = await run(line.split(' '), {
    env,
    terminal: false,
    stderrTerminal: false,
    pipes: NO_PIPES,
    stdout: () => undefined,
    stderr: (text) => {
      stderr += text;
    },
    serve: async () => {
      served = true;
    },
  });
  return { exitCode, stderr, served };
}

/** Why a node with these settings does not start, or null where it does. */
async function startRefusal(env: Io['env']): Promise<string | null> {
  const loaded = loadConfig({ env: { ...env, ROOMCAST_PORT: '0', ROOMCAST_HOST: '127.0.0.1' } });
  if ('problems' in loaded) return loaded.problems.join('; ');
  try {
    await (await startNode(loaded.config, silentLog)).stop();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

const files = (names: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(names).map(([name, file]) => [name, at(file)]));

describe('what keeps a node from starting', () => {
  it.each<[string, () => Record<string, string>, RegExp]>([
    [
      'a key that is none',
      () => files({ ROOMCAST_AUTH_PUBLIC_KEY_FILE: 'words' }),
      /^auth\.publicKeyFile: cannot use .*words: it has no public key in PEM$/m,
    ],
    [
      'algorithms that do not fit the key',
      () => ({ ...files({ ROOMCAST_AUTH_PUBLIC_KEY_FILE: 'rsa.pem' }), ROOMCAST_AUTH_ALGORITHMS: 'ES256' }),
      /^auth\.algorithms: cannot use ES256 with this kind of key/m,
    ],
    [
      'algorithms that do not fit a secret',
      () => ({ ROOMCAST_AUTH_SECRET: 's'.repeat(32), ROOMCAST_AUTH_ALGORITHMS: 'RS256' }),
      /^auth\.algorithms: cannot use RS256 with this kind of key/m,
    ],
    [
      'a secret together with a key set',
      () => ({ ROOMCAST_AUTH_SECRET: 's'.repeat(32), ROOMCAST_AUTH_JWKS_URL: 'http://127.0.0.1:1/jwks' }),
      /conflicts with auth\.jwksUrl: remove one of them/,
    ],
    [
      'the key of another certificate',
      () => files({ ROOMCAST_TLS_CERT_FILE: 'a.pem', ROOMCAST_TLS_KEY_FILE: 'b.key' }),
      /^cannot serve TLS with .*a\.pem and .*b\.key: the key is not that of the certificate \(.*mismatch/m,
    ],
    [
      'a certificate that is none',
      () => files({ ROOMCAST_TLS_CERT_FILE: 'words', ROOMCAST_TLS_KEY_FILE: 'a.key' }),
      /^cannot serve TLS with .*words and .*a\.key: .*words has nothing in PEM$/m,
    ],
    [
      'a key without its passphrase',
      () => files({ ROOMCAST_TLS_CERT_FILE: 'a.pem', ROOMCAST_TLS_KEY_FILE: 'locked.key' }),
      /^cannot serve TLS with .*: the key is encrypted, and the passphrase is missing or wrong \(/m,
    ],
    [
      'a key with another passphrase',
      () => ({
        ...files({ ROOMCAST_TLS_CERT_FILE: 'a.pem', ROOMCAST_TLS_KEY_FILE: 'locked.key' }),
        ROOMCAST_TLS_PASSPHRASE: 'wrong',
      }),
      /^cannot serve TLS with .*: the key is encrypted, and the passphrase is missing or wrong \(/m,
    ],
  ])('is found by config check as well: %s', async (_, env, problem) => {
    expect(await startRefusal(env())).not.toBeNull();
    for (const line of ['config check', 'serve']) {
      const { exitCode, stderr, served } = await roomcast(line, env());
      expect({ exitCode, served }).toEqual({ exitCode: 1, served: false });
      expect(stderr).toMatch(problem);
    }
  });

  it('is nothing where keys and certificates are good', async () => {
    const env = {
      ...files({ ROOMCAST_TLS_CERT_FILE: 'a.pem', ROOMCAST_TLS_KEY_FILE: 'locked.key' }),
      ...files({ ROOMCAST_AUTH_PUBLIC_KEY_FILE: 'rsa.pem' }),
      ROOMCAST_TLS_PASSPHRASE: 'hush',
    };
    expect(await startRefusal(env)).toBeNull();
    expect(await roomcast('config check', env)).toMatchObject({ exitCode: 0, stderr: '' });
  });

  it('includes files for Redis that do not go together', async () => {
    const env = {
      REDIS_URL: 'rediss://127.0.0.1:1',
      ...files({ ROOMCAST_REDIS_TLS_CERT_FILE: 'a.pem', ROOMCAST_REDIS_TLS_KEY_FILE: 'b.key' }),
    };
    const { exitCode, stderr } = await roomcast('config check', env);
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^redis\.tls: cannot use .*a\.pem, .*b\.key: .*mismatch/m);
  });
});
